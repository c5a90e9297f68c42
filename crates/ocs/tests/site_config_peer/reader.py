"""Reads site configs with OCS itself: one JSON object a line in, one a line out.

In: {"file", "hostname", "mode", "args": {option: value}, "command_line": [...]}. Out: what get_config makes of it, or
{"error": the type of the exception}.
"""

import argparse
import json
import socket
import sys

from ocs import site_config


def flatten(items):
    for item in items:
        if isinstance(item, (list, tuple)):
            yield from flatten(item)
        else:
            yield str(item)


def instance_of(data):
    config = site_config.InstanceConfig.from_dict(data)
    # The HostManager agent itself makes this exception.
    manage = 'ignore' if data['agent-class'] == 'HostManager' else config.manage
    return {
        'instance_id': data['instance-id'],
        'agent_class': data['agent-class'],
        'manage': manage,
        'arguments': list(flatten(config.arguments)),
    }


def host_of(host):
    return {
        'name': host.name,
        'log_dir': host.log_dir,
        'crossbar_timeout': host.crossbar_timeout,
        'crossbar': host.crossbar is not None,
        'config_dir': host.crossbar and host.crossbar.cbdir,
        'instances': [instance_of(data) for data in host.instances],
    }


def answer(question):
    socket.gethostname = lambda: question['hostname']
    args = site_config.add_arguments().parse_args(['--site-file', question['file']] + question['args'])
    mode = {'control': '*control*', 'host': '*host*'}.get(question['mode'], question['mode'])
    config = site_config.get_config(args, mode)
    hub = config.site.hub.data
    merged = None
    if config.instance is not None:
        container = site_config.ArgContainer(list(flatten(config.instance.arguments)))
        container.update(site_config.ArgContainer(question['command_line']))
        merged = container.to_list()
    site_config.add_site_attributes(args, config.site, config.host)
    return {
        'file': config.site.source_file,
        'server': args.site_hub,
        'http': args.site_http,
        'realm': args.site_realm,
        'root': args.address_root,
        'policy': args.access_policy,
        'hub_server': hub['wamp_server'],
        # get_config has written options into its own copy.
        'hosts': [host_of(host) for host in site_config.SiteConfig.from_yaml(question['file']).hosts.values()],
        'host': config.host and config.host.name,
        'log_dir': args.log_dir,
        'crossbar_timeout': args.crossbar_timeout,
        'instance': config.instance and config.instance.data['instance-id'],
        'merged': merged,
    }


for line in sys.stdin:
    try:
        result = answer(json.loads(line))
    except Exception as problem:
        result = {'error': type(problem).__name__}
    print(json.dumps(result))
