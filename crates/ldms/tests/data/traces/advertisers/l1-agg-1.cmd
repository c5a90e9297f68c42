processing message 1:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 7:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 8:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 59:2 PRDCR_LISTEN_REQ
handling req PRDCR_LISTEN_REQ
processing message 60:2 prdcr_listen_start
handling req prdcr_listen_start
processing message 1:5 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 1:4 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 1:3 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 1:6 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 63:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 64:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 66:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 68:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 69:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-1 interval=1000000 offset=500000 auto_interval=True
processing message 70:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-1 regex=.*
processing message 71:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-1
processing message 76:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 77:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=vm:34101
processing message 78:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=vm:34102
processing message 82:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 88:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 89:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 92:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 93:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 1:7 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 96:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 97:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 107:2 PRDCR_LISTEN_REQ
handling req PRDCR_LISTEN_REQ
processing message 108:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 109:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 110:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 111:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 112:2 UPDTR_STOP_REQ
handling req UPDTR_STOP_REQ
updtr_stop name=updtr_0_l1-agg-1
processing message 113:2 UPDTR_DEL_REQ
handling req UPDTR_DEL_REQ
updtr_del name=updtr_0_l1-agg-1
processing message 114:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-1 interval=1000000 offset=500000 auto_interval=True
processing message 115:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-1 regex=.*
processing message 116:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-1
processing message 117:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 118:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=vm:34101
processing message 119:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=vm:34102
processing message 120:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=vm:34101
processing message 121:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=vm:34102
processing message 122:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=vm:34103
processing message 123:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=vm:34104
processing message 3:8 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 3:9 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 124:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 130:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 131:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 1:10 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
