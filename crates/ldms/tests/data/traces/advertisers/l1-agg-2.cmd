processing message 2:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 9:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 10:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 61:2 PRDCR_LISTEN_REQ
handling req PRDCR_LISTEN_REQ
processing message 62:2 prdcr_listen_start
handling req prdcr_listen_start
processing message 2:5 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 2:4 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 2:3 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 2:6 LDMSD_ADVERTISE_REQ
handling req LDMSD_ADVERTISE_REQ
processing message 65:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 67:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 72:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 73:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-2 interval=1000000 offset=500000 auto_interval=True
processing message 74:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-2 regex=.*
processing message 75:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-2
processing message 79:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 80:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=vm:34103
processing message 81:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=vm:34104
processing message 83:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 90:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 91:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 94:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 95:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 1:7 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
