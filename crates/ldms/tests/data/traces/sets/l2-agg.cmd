processing message 4:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 17:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 18:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 103:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 104:2 auth_add
handling req auth_add
processing message 105:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=l1-1-ep xprt=sock host=127.0.0.1 port=34011 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 106:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=l1-3-ep xprt=sock host=127.0.0.1 port=34013 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 107:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=l1-2-ep xprt=sock host=127.0.0.1 port=34012 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 132:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 133:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_1_l2-agg interval=1000000 offset=200000 auto_interval=True
processing message 134:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_1_l2-agg regex=.*
processing message 135:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_1_l2-agg
processing message 136:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=csv1 plugin=store_csv
processing message 137:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=csv1 altheader=0 path=/srv/ldms/cluster/csv typeheader=1
processing message 138:2 STRGP_ADD_REQ
handling req STRGP_ADD_REQ
strgp_add name=csv-meminfo plugin=csv1 container=ldms_data schema=meminfo flush=10s perm=None
processing message 139:2 STRGP_PRDCR_ADD_REQ
handling req STRGP_PRDCR_ADD_REQ
strgp_prdcr_add name=csv-meminfo regex=.*
processing message 140:2 STRGP_START_REQ
handling req STRGP_START_REQ
strgp_start name=csv-meminfo
processing message 150:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 151:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-1-ep
processing message 152:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-2-ep
processing message 153:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-3-ep
processing message 157:2 cfg_cntr
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
processing message 186:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 187:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 1:6 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 194:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 195:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 202:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 203:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 210:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 211:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 218:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 219:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 226:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 227:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 234:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 235:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 242:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 243:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 249:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 250:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 259:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 284:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 285:2 UPDTR_STOP_REQ
handling req UPDTR_STOP_REQ
updtr_stop name=updtr_1_l2-agg
processing message 286:2 UPDTR_DEL_REQ
handling req UPDTR_DEL_REQ
updtr_del name=updtr_1_l2-agg
processing message 287:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_1_l2-agg interval=1000000 offset=200000 auto_interval=True
processing message 288:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_1_l2-agg regex=.*
processing message 289:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_1_l2-agg
processing message 290:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
processing message 291:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
processing message 292:2 STRGP_ADD_REQ
handling req STRGP_ADD_REQ
processing message 305:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 306:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=l1-1-ep
processing message 307:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=l1-2-ep
processing message 308:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=l1-3-ep
processing message 309:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-1-ep
processing message 310:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-2-ep
processing message 311:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-3-ep
processing message 315:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
