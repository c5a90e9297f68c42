processing message 9:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 23:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 45:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 46:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=meminfo1 plugin=meminfo
processing message 47:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=meminfo1 producer=sampler-5 instance=sampler-5/meminfo1 component_id=34105 perm=0777 schema=meminfo
processing message 48:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=vmstat1 plugin=vmstat
processing message 49:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=vmstat1 producer=sampler-5 instance=sampler-5/vmstat1 component_id=34105 perm=0777 schema=vmstat
processing message 71:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 72:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 73:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=meminfo1 interval=1000000 offset=0
processing message 74:2 PLUGN_START_REQ
handling req PLUGN_START_REQ
start name=vmstat1 interval=2000000 offset=1000
processing message 150:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 195:2 PLUGN_STATUS_REQ
handling req PLUGN_STATUS_REQ
plugn_status
processing message 248:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
