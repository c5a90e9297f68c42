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
prdcr_add name=l1-3-ep xprt=sock host=127.0.0.1 port=34013 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 106:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=l1-2-ep xprt=sock host=127.0.0.1 port=34012 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 107:2 PRDCR_ADD_REQ
handling req PRDCR_ADD_REQ
prdcr_add name=l1-1-ep xprt=sock host=127.0.0.1 port=34011 type=active reconnect=2000000 auth=none uid=0 gid=0 perm=770
processing message 120:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 121:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_1_l2-agg interval=1000000 offset=200000 auto_interval=True
processing message 122:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_1_l2-agg regex=.*
processing message 123:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_1_l2-agg
processing message 124:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
load name=csv1 plugin=store_csv
processing message 125:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
config name=csv1 altheader=0 path=/srv/ldms/cluster/csv typeheader=1
processing message 126:2 STRGP_ADD_REQ
handling req STRGP_ADD_REQ
strgp_add name=csv-meminfo plugin=csv1 container=ldms_data schema=meminfo flush=10s perm=None
processing message 127:2 STRGP_PRDCR_ADD_REQ
handling req STRGP_PRDCR_ADD_REQ
strgp_prdcr_add name=csv-meminfo regex=.*
processing message 128:2 STRGP_START_REQ
handling req STRGP_START_REQ
strgp_start name=csv-meminfo
processing message 138:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 139:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-1-ep
processing message 140:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-2-ep
processing message 141:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-3-ep
processing message 145:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 158:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 159:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 166:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 167:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 174:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 175:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 182:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 183:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 189:2 DAEMON_STATUS_REQ
handling req DAEMON_STATUS_REQ
daemon_status
processing message 190:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
processing message 199:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 212:2 UPDTR_STATUS_REQ
handling req UPDTR_STATUS_REQ
updtr_status 
processing message 213:2 UPDTR_STOP_REQ
handling req UPDTR_STOP_REQ
updtr_stop name=updtr_1_l2-agg
processing message 214:2 UPDTR_DEL_REQ
handling req UPDTR_DEL_REQ
updtr_del name=updtr_1_l2-agg
processing message 215:2 UPDTR_ADD_REQ
handling req UPDTR_ADD_REQ
updtr_add name=updtr_1_l2-agg interval=1000000 offset=200000 auto_interval=True
processing message 216:2 UPDTR_PRDCR_ADD_REQ
handling req UPDTR_PRDCR_ADD_REQ
updtr_prdcr_add name=updtr_1_l2-agg regex=.*
processing message 217:2 UPDTR_START_REQ
handling req UPDTR_START_REQ
UPDTR_START 0
updtr_start name=updtr_1_l2-agg
processing message 218:2 PLUGN_LOAD_REQ
handling req PLUGN_LOAD_REQ
processing message 219:2 PLUGN_CONFIG_REQ
handling req PLUGN_CONFIG_REQ
processing message 220:2 STRGP_ADD_REQ
handling req STRGP_ADD_REQ
processing message 233:2 PRDCR_STATUS_REQ
handling req PRDCR_STATUS_REQ
processing message 234:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=l1-1-ep
processing message 235:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=l1-2-ep
processing message 236:2 PRDCR_STOP_REQ
handling req PRDCR_STOP_REQ
prdcr_stop name=l1-3-ep
processing message 237:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-1-ep
processing message 238:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-2-ep
processing message 239:2 PRDCR_START_REQ
handling req PRDCR_START_REQ
prdcr_start name=l1-3-ep
processing message 243:2 cfg_cntr
handling req cfg_cntr
cfg_cntr
