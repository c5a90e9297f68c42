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
prdcr_add name=s-3-ep xprt=sock host=127.0.0.1 port=34103 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 82:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-1-ep xprt=sock host=127.0.0.1 port=34101 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 83:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-2-ep xprt=sock host=127.0.0.1 port=34102 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 84:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-5-ep xprt=sock host=127.0.0.1 port=34105 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 85:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-6-ep xprt=sock host=127.0.0.1 port=34106 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 86:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-4-ep xprt=sock host=127.0.0.1 port=34104 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 108:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 109:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-1 interval=1000000 offset=100000 auto_interval=True
processing message 110:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-1 regex=.*
processing message 111:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-1/vmstat1 match=inst
processing message 112:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-1/meminfo1 match=inst
processing message 113:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-2/vmstat1 match=inst
processing message 114:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-2/meminfo1 match=inst
processing message 115:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-1
processing message 141:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 142:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-1-ep
processing message 143:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-2-ep
processing message 154:2 cfg_cntr
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
processing message 1:6 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 188:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 189:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 196:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 197:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 204:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 205:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 212:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 213:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 220:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 221:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 228:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 229:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 236:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 237:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 244:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 245:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 257:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 260:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 261:2 UPDTR_STOP_REQ
handling req UPDTR_STOP_REQ
updtr_stop name=updtr_0_l1-agg-1
processing message 262:2 UPDTR_DEL_REQ
handling req UPDTR_DEL_REQ
updtr_del name=updtr_0_l1-agg-1
processing message 263:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-1 interval=1000000 offset=100000 auto_interval=True
processing message 264:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-1 regex=.*
processing message 265:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-1/vmstat1 match=inst
processing message 266:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-1/meminfo1 match=inst
processing message 267:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-2/vmstat1 match=inst
processing message 268:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-2/meminfo1 match=inst
processing message 269:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-3/vmstat1 match=inst
processing message 270:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-1 regex=sampler-3/meminfo1 match=inst
processing message 271:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-1
processing message 293:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 294:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=s-1-ep
processing message 295:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=s-2-ep
processing message 296:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-1-ep
processing message 297:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-2-ep
processing message 298:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-3-ep
processing message 312:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
