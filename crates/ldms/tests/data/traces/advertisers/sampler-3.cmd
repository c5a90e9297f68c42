processing message 5:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 13:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 21:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 22:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=meminfo1 plugin=meminfo
processing message 23:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=meminfo1 producer=sampler-3 instance=sampler-3/meminfo1 component_id=34103 perm=0777 schema=meminfo
processing message 33:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 34:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 35:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=meminfo1 interval=1000000 offset=1000
processing message 49:2 auth_add
handling req auth_add
processing message 50:2 advertiser_add
handling req advertiser_add
advertiser_add name=sampler-3-127.0.0.2 xprt=sock host=127.0.0.2 port=34010 auth=none1 uid=0 gid=0 perm=770
processing message 51:2 advertiser_start
handling req advertiser_start
advertiser_start name=sampler-3-127.0.0.2 xprt=sock host=127.0.0.2 port=34010 reconnect=2000000 auth=none1 uid=0 gid=0 perm=1770
processing message 52:2 advertiser_add
handling req advertiser_add
advertiser_add name=sampler-3-127.0.0.3 xprt=sock host=127.0.0.3 port=34010 auth=none1 uid=0 gid=0 perm=770
processing message 53:2 advertiser_start
handling req advertiser_start
advertiser_start name=sampler-3-127.0.0.3 xprt=sock host=127.0.0.3 port=34010 reconnect=2000000 auth=none1 uid=0 gid=0 perm=1770
processing response 1:3
processing response 2:4
processing message 86:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 101:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 105:2 auth_add
handling req auth_add
processing message 128:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
