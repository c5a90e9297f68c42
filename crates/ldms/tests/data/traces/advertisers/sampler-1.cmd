processing message 3:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 11:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 15:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 16:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=meminfo1 plugin=meminfo
processing message 17:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=meminfo1 producer=sampler-1 instance=sampler-1/meminfo1 component_id=34101 perm=0777 schema=meminfo
processing message 27:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 28:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 29:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=meminfo1 interval=1000000 offset=1000
processing message 39:2 auth_add
handling req auth_add
processing message 40:2 advertiser_add
handling req advertiser_add
advertiser_add name=sampler-1-127.0.0.2 xprt=sock host=127.0.0.2 port=34010 auth=none1 uid=0 gid=0 perm=770
processing message 41:2 advertiser_start
handling req advertiser_start
advertiser_start name=sampler-1-127.0.0.2 xprt=sock host=127.0.0.2 port=34010 reconnect=2000000 auth=none1 uid=0 gid=0 perm=1770
processing message 42:2 advertiser_add
handling req advertiser_add
advertiser_add name=sampler-1-127.0.0.3 xprt=sock host=127.0.0.3 port=34010 auth=none1 uid=0 gid=0 perm=770
processing message 43:2 advertiser_start
handling req advertiser_start
advertiser_start name=sampler-1-127.0.0.3 xprt=sock host=127.0.0.3 port=34010 reconnect=2000000 auth=none1 uid=0 gid=0 perm=1770
processing response 1:3
processing response 2:4
processing message 84:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 99:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 103:2 auth_add
handling req auth_add
processing response 3:17
processing message 126:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
