processing message 10:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 24:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 50:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 51:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=meminfo1 plugin=meminfo
processing message 52:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=meminfo1 producer=sampler-6 instance=sampler-6/meminfo1 component_id=34106 perm=0777 schema=meminfo
processing message 53:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=vmstat1 plugin=vmstat
processing message 54:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=vmstat1 producer=sampler-6 instance=sampler-6/vmstat1 component_id=34106 perm=0777 schema=vmstat
processing message 75:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 76:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 77:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=meminfo1 interval=1000000 offset=0
processing message 78:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=vmstat1 interval=2000000 offset=1000
processing message 151:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 196:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 249:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
