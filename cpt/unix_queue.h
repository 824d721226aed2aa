/* SPDX-License-Identifier: GPL-2.0-only */
/* What lies in a unix socket, read without taking it out. */
#ifndef VERST_CPT_UNIX_QUEUE_H
#define VERST_CPT_UNIX_QUEUE_H

#include <sys/socket.h>
#include <sys/un.h>

#include "cpt/cpt.h"

/* The queue of m.unixs.at[index]. Makes file objects of descriptors in it, so m.unixs may move. */
int cpt_unix_read_queue(struct cpt *c, size_t index, struct err *err);

/* sun_path of an address as the model keeps it. */
struct bytes cpt_unix_name(const struct sockaddr_un *a, socklen_t len);

/* An error waits to be read; asking does not take it. */
bool cpt_unix_has_error(int fd);

#endif
