processing message 6:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 14:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 24:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 25:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=meminfo1 plugin=meminfo
processing message 26:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=meminfo1 producer=sampler-4 instance=sampler-4/meminfo1 component_id=34104 perm=0777 schema=meminfo
processing message 36:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 37:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 38:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=meminfo1 interval=1000000 offset=1000
processing message 54:2 auth_add
handling req auth_add
processing message 55:2 advertiser_add
handling req advertiser_add
advertiser_add name=sampler-4-127.0.0.2 xprt=sock host=127.0.0.2 port=34010 auth=none1 uid=0 gid=0 perm=770
processing message 56:2 advertiser_start
handling req advertiser_start
advertiser_start name=sampler-4-127.0.0.2 xprt=sock host=127.0.0.2 port=34010 reconnect=2000000 auth=none1 uid=0 gid=0 perm=1770
processing message 57:2 advertiser_add
handling req advertiser_add
advertiser_add name=sampler-4-127.0.0.3 xprt=sock host=127.0.0.3 port=34010 auth=none1 uid=0 gid=0 perm=770
processing message 58:2 advertiser_start
handling req advertiser_start
advertiser_start name=sampler-4-127.0.0.3 xprt=sock host=127.0.0.3 port=34010 reconnect=2000000 auth=none1 uid=0 gid=0 perm=1770
processing response 1:3
processing response 2:4
processing message 87:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 102:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 106:2 auth_add
handling req auth_add
processing message 129:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
