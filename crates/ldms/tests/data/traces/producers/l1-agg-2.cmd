processing message 2:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 13:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 14:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 87:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 88:2 auth_add
handling req auth_add
processing message 89:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-1-ep xprt=sock host=127.0.0.1 port=34101 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 90:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-2-ep xprt=sock host=127.0.0.1 port=34102 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 91:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-6-ep xprt=sock host=127.0.0.1 port=34106 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 92:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-3-ep xprt=sock host=127.0.0.1 port=34103 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 93:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-4-ep xprt=sock host=127.0.0.1 port=34104 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 94:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-5-ep xprt=sock host=127.0.0.1 port=34105 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 112:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 113:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-2 interval=1000000 offset=100000 auto_interval=True
processing message 114:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-2 regex=.*
processing message 115:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-2
processing message 132:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 133:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-3-ep
processing message 134:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-4-ep
processing message 143:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 154:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 155:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 162:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 163:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 170:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 171:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 178:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 179:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
