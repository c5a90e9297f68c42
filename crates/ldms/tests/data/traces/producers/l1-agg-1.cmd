processing message 1:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 11:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 12:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 79:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 80:2 auth_add
handling req auth_add
processing message 81:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-1-ep xprt=sock host=127.0.0.1 port=34101 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 82:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-2-ep xprt=sock host=127.0.0.1 port=34102 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 83:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-6-ep xprt=sock host=127.0.0.1 port=34106 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 84:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-3-ep xprt=sock host=127.0.0.1 port=34103 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 85:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-4-ep xprt=sock host=127.0.0.1 port=34104 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 86:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-5-ep xprt=sock host=127.0.0.1 port=34105 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 108:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 109:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-1 interval=1000000 offset=100000 auto_interval=True
processing message 110:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-1 regex=.*
processing message 111:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-1
processing message 129:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 130:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-1-ep
processing message 131:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-2-ep
processing message 142:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 152:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 153:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 160:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 161:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 168:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 169:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 176:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 177:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 184:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 185:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 197:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 200:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 201:2 UPDTR_STOP_REQ
handling req UPDTR_STOP_REQ
updtr_stop name=updtr_0_l1-agg-1
processing message 202:2 UPDTR_DEL_REQ
handling req UPDTR_DEL_REQ
updtr_del name=updtr_0_l1-agg-1
processing message 203:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-1 interval=1000000 offset=100000 auto_interval=True
processing message 204:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-1 regex=.*
processing message 205:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-1
processing message 221:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 222:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=s-1-ep
processing message 223:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=s-2-ep
processing message 224:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-1-ep
processing message 225:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-2-ep
processing message 226:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-3-ep
processing message 240:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
