#!/bin/sh
# Carries out a user-data file in a small Debian with Debian's own cloud-init, stage by stage as a booting machine does.
#
#   run.sh ROOT USER_DATA INSTANCE
#
# In a mount namespace of its own, with a host name of its own, and without a network: packages come from the cache in ROOT, which has none that are only
# recommended. No systemd runs there, so a service is switched on and off and not started.
set -eu
root=$1 user_data=$2 instance=$3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
for name in null zero full random urandom tty; do
    : >"$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
: >"$root/dev/console"
seed=$root/var/lib/cloud/seed/nocloud
mkdir -p "$seed"
cp "$user_data" "$seed/user-data"
printf 'instance-id: %s\nlocal-hostname: %s\n' "$instance" "$instance" >"$seed/meta-data"
echo 'datasource_list: [NoCloud]' >"$root/etc/cloud/cloud.cfg.d/99-test.cfg"
printf 'Acquire::http::Proxy "http://127.0.0.1:9";\nAcquire::Retries "0";\nAPT::Install-Recommends "false";\n' >"$root/etc/apt/apt.conf.d/99-test"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
# shellcheck disable=SC2016
printf '#!/bin/sh\nfor a; do shift; [ "$a" = --now ] || set -- "$@" "$a"; done\nexec /usr/bin/systemctl "$@"\n' \
    >"$root/usr/local/sbin/systemctl"
chmod 755 "$root/usr/sbin/policy-rc.d" "$root/usr/local/sbin/systemctl"
stage() {
    chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin cloud-init "$@"
}
stage schema --config-file /var/lib/cloud/seed/nocloud/user-data
stage init --local
stage init
stage modules --mode config
stage modules --mode final
echo "== console"
cat "$root/dev/console"
