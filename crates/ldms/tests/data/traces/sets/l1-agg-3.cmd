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
prdcr_add name=s-3-ep xprt=sock host=127.0.0.1 port=34103 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 98:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-1-ep xprt=sock host=127.0.0.1 port=34101 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 99:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-2-ep xprt=sock host=127.0.0.1 port=34102 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 100:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-5-ep xprt=sock host=127.0.0.1 port=34105 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 101:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-6-ep xprt=sock host=127.0.0.1 port=34106 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 102:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=s-4-ep xprt=sock host=127.0.0.1 port=34104 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 124:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 125:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-3 interval=1000000 offset=100000 auto_interval=True
processing message 126:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-3 regex=.*
processing message 127:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-5/vmstat1 match=inst
processing message 128:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-5/meminfo1 match=inst
processing message 129:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-6/vmstat1 match=inst
processing message 130:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-6/meminfo1 match=inst
processing message 131:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-3
processing message 147:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 148:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-5-ep
processing message 149:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-6-ep
processing message 156:2 cfg_cntr
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
processing message 1:6 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 192:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 193:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 200:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 201:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 208:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 209:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 216:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 217:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 224:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 225:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 232:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 233:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 240:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 241:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 247:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 248:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 258:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 272:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 273:2 UPDTR_STOP_REQ
handling req UPDTR_STOP_REQ
updtr_stop name=updtr_0_l1-agg-3
processing message 274:2 UPDTR_DEL_REQ
handling req UPDTR_DEL_REQ
updtr_del name=updtr_0_l1-agg-3
processing message 275:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_0_l1-agg-3 interval=1000000 offset=100000 auto_interval=True
processing message 276:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_0_l1-agg-3 regex=.*
processing message 277:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-5/vmstat1 match=inst
processing message 278:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-5/meminfo1 match=inst
processing message 279:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-6/vmstat1 match=inst
processing message 280:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-6/meminfo1 match=inst
processing message 281:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-4/vmstat1 match=inst
processing message 282:2 UPDTR_MATCH_ADD_REQ
handling req UPDTR_MATCH_ADD_REQ
updtr_match_add name=updtr_0_l1-agg-3 regex=sampler-4/meminfo1 match=inst
processing message 283:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_0_l1-agg-3
processing message 299:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 300:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=s-5-ep
processing message 301:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=s-6-ep
processing message 302:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-4-ep
processing message 303:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-5-ep
processing message 304:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=s-6-ep
processing message 314:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
