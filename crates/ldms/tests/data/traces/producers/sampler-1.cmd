processing message 5:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 19:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 25:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 26:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=meminfo1 plugin=meminfo
processing message 27:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=meminfo1 producer=sampler-1 instance=sampler-1/meminfo1 component_id=34101 perm=0777 schema=meminfo
processing message 28:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=vmstat1 plugin=vmstat
processing message 29:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=vmstat1 producer=sampler-1 instance=sampler-1/vmstat1 component_id=34101 perm=0777 schema=vmstat
processing message 55:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 56:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 57:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=meminfo1 interval=1000000 offset=0
processing message 58:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=vmstat1 interval=2000000 offset=1000
processing message 146:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 191:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 244:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
