processing message 4:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 12:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 18:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 19:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=meminfo1 plugin=meminfo
processing message 20:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=meminfo1 producer=sampler-2 instance=sampler-2/meminfo1 component_id=34102 perm=0777 schema=meminfo
processing message 30:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 31:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 32:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=meminfo1 interval=1000000 offset=1000
processing message 44:2 auth_add
handling req auth_add
processing message 45:2 advertiser_add
handling req advertiser_add
advertiser_add name=sampler-2-127.0.0.2 xprt=sock host=127.0.0.2 port=34010 auth=none1 uid=0 gid=0 perm=770
processing message 46:2 advertiser_start
handling req advertiser_start
advertiser_start name=sampler-2-127.0.0.2 xprt=sock host=127.0.0.2 port=34010 reconnect=2000000 auth=none1 uid=0 gid=0 perm=1770
processing message 47:2 advertiser_add
handling req advertiser_add
advertiser_add name=sampler-2-127.0.0.3 xprt=sock host=127.0.0.3 port=34010 auth=none1 uid=0 gid=0 perm=770
processing message 48:2 advertiser_start
handling req advertiser_start
advertiser_start name=sampler-2-127.0.0.3 xprt=sock host=127.0.0.3 port=34010 reconnect=2000000 auth=none1 uid=0 gid=0 perm=1770
processing response 1:3
processing response 2:4
processing message 85:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 100:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 104:2 auth_add
handling req auth_add
processing response 3:17
processing message 127:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
