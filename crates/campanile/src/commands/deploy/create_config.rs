//! `ehos_create_config`: a configuration from a keystone file.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use campanile_control::atomic_file;
use campanile_pool::clouds::Cloud as _;
use campanile_pool::clouds::openstack::{Login, OpenStack};
use campanile_pool::config::{Access, Place, Secret};
use campanile_pool::deploy::compose::{Choices, compose, wants};
use campanile_pool::deploy::keystone::{Credentials, Keystone};
use campanile_pool::deploy::{choose, make_password, share};

use super::Talk;
use crate::failure::{Failure, Outcome};
use crate::output::{print, print_error};
use crate::runtime;

/// Make a configuration (ehos.yaml) from a template and a keystone file
///
/// The keystone file is read and never run. The cloud is asked for its images and flavors: the image is one of a current
/// Debian, Ubuntu, Rocky, Alma or CentOS Stream, the flavor the smallest that has `min_ram` and `min_cores` of the
/// template. A password for the pool is made where the template has none.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ehos_create_config share/ehos/ehos.yaml.example project-openrc.sh
  ehos_create_config --password-file pw -o etc/ehos.yaml ehos.yaml.example project-openrc.sh

Exit codes:
  0 written; 1 the cloud does not answer, or has no such image; 2 wrong files")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) talk: Talk,
    /// Where the configuration goes; one that is there is kept as FILE.backup
    #[arg(short, long, value_name = "FILE", default_value = "etc/ehos/ehos.yaml")]
    out_file: PathBuf,
    /// The image to make bases from, name or id, instead of the one that is found
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// A file with the password, where the keystone file asks for it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The template, such as ehos.yaml.example (that name alone stands for the one that ships)
    template: PathBuf,
    /// The keystone file of the project (openrc.sh)
    keystone_file: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Outcome {
    let place = Place::here().context("there is no working directory")?;
    let name = args.template.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    let given =
        (args.template.is_file() || share::shipped(name).is_none()).then_some(args.template.as_path());
    let template = share::find(given, name, &place.working_dir, &place).map_err(Failure::Usage)?;
    let text = std::fs::read_to_string(&args.keystone_file).map_err(|error| {
        Failure::Usage(format!("{} cannot be read: {error}", args.keystone_file.display()))
    })?;
    let password = match &args.password_file {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    };
    let keystone = Keystone::read(&args.keystone_file, &text);
    let credentials = keystone.credentials(password.as_deref()).map_err(Failure::Config)?;
    let choices = runtime::block_on(choices(args, &template.text, &credentials, keystone.get("OS_CACERT")))??;
    let config = compose(&template.text, &credentials, &choices).map_err(Failure::Usage)?;
    let kept = write_private(&args.out_file, &config)?;
    let mut told = format!(
        "{} is written (mode 0600): image {}, flavor {}\n",
        args.out_file.display(),
        choices.image,
        choices.flavor
    );
    if let Some(kept) = kept {
        told.push_str(&format!("the old one is kept as {}\n", kept.display()));
    }
    told.push_str("next: campanile pool check, then ehos_setup -c\n");
    print(&told)
}

async fn choices(
    args: &Args,
    template: &str,
    credentials: &Credentials,
    cacert: Option<&str>,
) -> Result<Choices, Failure> {
    let of =
        |name: &str| credentials.login.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    let access = Access {
        auth_url: Some(credentials.auth_url.clone()),
        region_name: Some(credentials.region_name.clone()),
        project_name: of("project_name"),
        username: of("username"),
        password: of("password").map(Secret::new),
        user_domain_name: of("user_domain_name"),
        project_domain_name: of("project_domain_name"),
        application_credential_id: of("application_credential_id"),
        application_credential_secret: of("application_credential_secret").map(Secret::new),
        cacert: cacert.map(PathBuf::from),
        ..Access::default()
    };
    let login = Login::complete(&access, &[]).map_err(|lacks| Failure::Usage(lacks.join("; ")))?;
    let cloud = OpenStack::new("default", login).context("the cloud cannot be spoken to")?;
    let images = cloud.images().await.context("the cloud does not list its images")?;
    let flavors = cloud.flavors().await.context("the cloud does not list its flavors")?;
    let Some(image) = choose::image(&images, args.image.as_deref()) else {
        let mut names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
        names.sort_unstable();
        names.truncate(20);
        let wanted = args.image.as_deref().unwrap_or("of a current Debian, Ubuntu or RHEL 9");
        return Err(anyhow!("there is no active image {wanted}; there are {}", names.join(", ")).into());
    };
    if image.is_old {
        print_error(&format!(
            "warning: there is only {}, whose packages are no longer to be had; the shipped files are for newer ones\n",
            image.image.name
        ));
    }
    let (cores, memory_mib) = wants(template);
    let Some(flavor) = choose::flavor(&flavors, cores, memory_mib) else {
        return Err(anyhow!("no flavor has {cores} cores and {memory_mib} MiB of memory").into());
    };
    let password = make_password().context("no password can be made")?;
    Ok(Choices { image: image.image.name.clone(), flavor: flavor.name.clone(), network: None, password })
}

/// Writes a file that only its owner may read. What is there is kept beside it; its name is returned.
pub(super) fn write_private(path: &std::path::Path, text: &str) -> Result<Option<PathBuf>, Failure> {
    let failed = |what: &str| format!("{} cannot be {what}", path.display());
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
    }
    let mut kept = None;
    if path.exists() {
        let old = std::fs::read(path).with_context(|| failed("read"))?;
        let backup = free_backup(path);
        atomic_file::replace(&backup, &old).with_context(|| failed("kept"))?;
        kept = Some(backup);
    }
    atomic_file::replace(path, text.as_bytes()).with_context(|| failed("written"))?;
    Ok(kept)
}

/// `FILE.backup`, or `FILE.backup.2` and so on: no copy is overwritten.
fn free_backup(path: &std::path::Path) -> PathBuf {
    let named = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let first = named(".backup");
    if !first.exists() {
        return first;
    }
    (2_u32..).map(|number| named(&format!(".backup.{number}"))).find(|path| !path.exists()).unwrap_or(first)
}
