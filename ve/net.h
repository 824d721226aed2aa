/* SPDX-License-Identifier: GPL-2.0-only */
/* A VE's addresses. */
#ifndef VERST_VE_NET_H
#define VERST_VE_NET_H

#include "kernel/venet.h"
#include "ve/ve.h"

/* A.B.C.D, perhaps with /32, that a VE may have. ERR_BAD_IP. */
int ve_net_parse(const char *text, size_t len_bytes, struct in_addr *ret, struct err *err);
/* IP_ADDRESS of a config: addresses separated by blanks. Free with vec_free. */
int ve_net_addrs(const struct ve_conf *conf, struct venet_addrs *ret, struct err *err);
char *ve_net_print(const struct venet_addrs *addrs); /* as IP_ADDRESS has them; the caller frees */
/* The name of the host's end of the link, the same at every start. */
void ve_net_host_name(const struct ve *ve, char ret[static 16]);
/* No other VE of this node has the address, nor the node itself. `running`: only VEs that run are asked. */
int ve_net_check_free(const struct ve *ve, struct in_addr addr, bool running, struct err *err);

#endif
