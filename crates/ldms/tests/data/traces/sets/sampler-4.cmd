processing message 8:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 22:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 40:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 41:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=meminfo1 plugin=meminfo
processing message 42:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=meminfo1 producer=sampler-4 instance=sampler-4/meminfo1 component_id=34104 perm=0777 schema=meminfo
processing message 43:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=vmstat1 plugin=vmstat
processing message 44:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=vmstat1 producer=sampler-4 instance=sampler-4/vmstat1 component_id=34104 perm=0777 schema=vmstat
processing message 67:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 68:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 69:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=meminfo1 interval=1000000 offset=0
processing message 70:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=vmstat1 interval=2000000 offset=1000
processing message 161:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 254:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 319:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
