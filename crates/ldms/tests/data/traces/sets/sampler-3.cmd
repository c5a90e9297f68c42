processing message 7:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 21:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 35:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 36:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=meminfo1 plugin=meminfo
processing message 37:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=meminfo1 producer=sampler-3 instance=sampler-3/meminfo1 component_id=34103 perm=0777 schema=meminfo
processing message 38:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=vmstat1 plugin=vmstat
processing message 39:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=vmstat1 producer=sampler-3 instance=sampler-3/vmstat1 component_id=34103 perm=0777 schema=vmstat
processing message 63:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 64:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 65:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=meminfo1 interval=1000000 offset=0
processing message 66:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=vmstat1 interval=2000000 offset=1000
processing message 160:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 253:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 318:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
