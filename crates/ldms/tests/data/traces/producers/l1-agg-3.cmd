processing message 3:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 15:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 16:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 95:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 96:2 auth_add
handling req auth_add
processing message 97:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-1-ep xprt=sock host=127.0.0.1 port=34101 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 98:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-2-ep xprt=sock host=127.0.0.1 port=34102 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 99:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-6-ep xprt=sock host=127.0.0.1 port=34106 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 100:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-3-ep xprt=sock host=127.0.0.1 port=34103 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 101:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-4-ep xprt=sock host=127.0.0.1 port=34104 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 102:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-5-ep xprt=sock host=127.0.0.1 port=34105 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 116:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 117:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-3 interval=1000000 offset=100000 auto_interval=True
processing message 118:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-3 regex=.*
processing message 119:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-3
processing message 135:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 136:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-5-ep
processing message 137:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-6-ep
processing message 144:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 156:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 157:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 164:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 165:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 172:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 173:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 180:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 181:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 187:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 188:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 198:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 206:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 207:2 UPDTR_STOP_REQ
handling req UPDTR_STOP_REQ
updtr_stop name=updtr_0_l1-agg-3
processing message 208:2 UPDTR_DEL_REQ
handling req UPDTR_DEL_REQ
updtr_del name=updtr_0_l1-agg-3
processing message 209:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-3 interval=1000000 offset=100000 auto_interval=True
processing message 210:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-3 regex=.*
processing message 211:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-3
processing message 227:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 228:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=s-5-ep
processing message 229:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=s-6-ep
processing message 230:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-4-ep
processing message 231:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-5-ep
processing message 232:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-6-ep
processing message 242:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
