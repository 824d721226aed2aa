// SPDX-License-Identifier: GPL-2.0-only
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "model/validate.h"

/* --- mounts and the files of tmpfs mounts --- */

static int validate_mount(const struct model *m, const struct mount_obj *mount, struct err *err)
{
	/* parents have smaller ids: so there is no cycle */
	if (mount->parent && (mount->parent >= mount->id || !model_mount(m, mount->parent)))
		return validate_bad(err, "parent %u does not exist, or comes later", mount->parent);
	return 0;
}

static bool is_carried_mode(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFCHR:
	case S_IFBLK:
		return !(mode & ~(uint32_t)(S_IFMT | 07777));
	default:
		return false;
	}
}

int model_validate_fsent(const struct fsent_obj *f, struct err *err)
{
	if (!is_carried_mode(f->mode))
		return validate_bad(err, "impossible mode 0%o", f->mode);
	if (S_ISLNK(f->mode) != !!f->symlink)
		return validate_bad(err, "symlink and mode 0%o do not match", f->mode);
	if (f->content.len_bytes && !S_ISREG(f->mode))
		return validate_bad(err, "content in what is no regular file");
	if (f->size_bytes > VALIDATE_MAX_SIZE || f->content.len_bytes > f->size_bytes ||
	    f->offset > f->size_bytes - f->content.len_bytes)
		return validate_bad(err, "content beyond its end");
	return *f->path || S_ISDIR(f->mode) ? 0 : validate_bad(err, "the root is no directory");
}

static int validate_fsent(const struct model *m, const struct fsent_obj *f, struct err *err)
{
	const struct mount_obj *mount = model_mount(m, f->mount);

	if (!mount || strcmp(mount->fstype, "tmpfs") != 0)
		return validate_bad(err, "mount %u does not exist, or is no tmpfs", f->mount);
	return model_validate_fsent(f, err);
}

/* --- ipc --- */

static int validate_perm(const struct ipc_owner *p, struct err *err)
{
	if (p->mode > 0777)
		return validate_bad(err, "impossible mode 0%o", p->mode);
	if (p->uid > 65535 || p->gid > 65535 || p->cuid > 65535 || p->cgid > 65535)
		return validate_bad(err, "impossible owner");
	return 0;
}

static int validate_msgq(const struct msgq_obj *q, struct err *err)
{
	if (q->id > (uint32_t)INT32_MAX + 1)
		return validate_bad(err, "impossible number");
	vec_each(message, &q->messages)
		if (!message->type || message->type > INT64_MAX)
			return validate_bad(err, "impossible type of a message");
	return validate_perm(&q->perm, err);
}

static int validate_msgqs(const struct model *m, struct err *err)
{
	VEC(uint32_t) keys = {0};
	uint32_t twice = 0;
	int ret = 0;

	vec_each(q, &m->msgqs) {
		if (!ret && validate_msgq(q, err))
			ret = err_ctx(err, "msgq %u", q->id);
		if (q->perm.key)
			vec_push(&keys, q->perm.key);
	}
	if (!ret && !validate_unique(keys.at, keys.nr, &twice))
		ret = validate_bad(err, "msgq: two with key 0x%x", twice);
	vec_free(&keys);
	return ret;
}

static int validate_semset(const struct model *m, const struct semset_obj *s, struct err *err)
{
	if (s->id > (uint32_t)INT32_MAX + 1 || !s->values.nr)
		return validate_bad(err, "impossible number");
	if (s->undos.nr && !s->used)
		return validate_bad(err, "never used, but there is something to undo");
	vec_each(v, &s->values)
		if (*v > INT16_MAX)
			return validate_bad(err, "impossible value %u", *v);
	vec_each(u, &s->undos) {
		const struct task_obj *task = model_task(m, u->pid);

		if (!task || task->state == TASK_ZOMBIE)
			return validate_bad(err, "task %u, which undoes, does not exist", u->pid);
		if (u->nr >= s->values.nr || !u->adjust || u->adjust > INT16_MAX || u->adjust < -INT16_MAX)
			return validate_bad(err, "impossible undo of task %u", u->pid);
	}
	return validate_perm(&s->perm, err);
}

static int validate_semsets(const struct model *m, struct err *err)
{
	VEC(uint32_t) keys = {0};
	uint32_t twice = 0;
	int ret = 0;

	vec_each(s, &m->semsets) {
		if (!ret && validate_semset(m, s, err))
			ret = err_ctx(err, "semset %u", s->id);
		if (s->perm.key)
			vec_push(&keys, s->perm.key);
	}
	if (!ret && !validate_unique(keys.at, keys.nr, &twice))
		ret = validate_bad(err, "semset: two with key 0x%x", twice);
	vec_free(&keys);
	return ret;
}

/* --- network --- */

static bool has_link(const struct netns_obj *n, const char *name)
{
	vec_each(l, &n->links) {
		if (!strcmp(l->name, name))
			return true;
	}
	return false;
}

static size_t address_bytes(int32_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static bool is_address(const struct bytes *b, int32_t family)
{
	return !b->len_bytes || b->len_bytes == address_bytes(family);
}

static int validate_addr(const struct netns_obj *n, const struct addr_obj *a, struct err *err)
{
	size_t len = address_bytes(a->family);

	if (!has_link(n, a->link))
		return validate_bad(err, "address: device %s does not exist", a->link);
	/* the kernel tells IPv6 addresses without a peer as IFA_ADDRESS alone, and so they are kept */
	if (!len || !(a->local.len_bytes | a->peer.len_bytes) || !is_address(&a->local, a->family) ||
	    !is_address(&a->peer, a->family) || !is_address(&a->broadcast, a->family) ||
	    a->prefix_len > len * 8)
		return validate_bad(err, "impossible address of %s", a->link);
	return 0;
}

static int validate_route(const struct netns_obj *n, const struct route_obj *r, struct err *err)
{
	size_t len = address_bytes(r->family);

	if (*r->link && !has_link(n, r->link))
		return validate_bad(err, "route: device %s does not exist", r->link);
	if (!len || !is_address(&r->dst, r->family) || !is_address(&r->gateway, r->family) ||
	    !is_address(&r->prefsrc, r->family) || r->dst_len > len * 8 || r->src_len ||
	    (r->dst_len && !r->dst.len_bytes))
		return validate_bad(err, "impossible route of %s", *r->link ? r->link : "no device");
	if (r->tos > 255 || r->type > 255 || r->scope > 255 || r->protocol > 255)
		return validate_bad(err, "impossible route of %s", *r->link ? r->link : "no device");
	return 0;
}

static int validate_links(const struct netns_obj *n, struct err *err)
{
	for (size_t i = 0; i < n->links.nr; i++) {
		const char *name = n->links.at[i].name;

		if (!*name || strchr(name, '/') || !strcmp(name, "."))
			return validate_bad(err, "device with the name \"%s\"", name);
		for (size_t k = 0; k < i; k++) {
			if (!strcmp(n->links.at[k].name, name))
				return validate_bad(err, "device %s is there twice", name);
		}
	}
	return 0;
}

static int validate_netns(const struct netns_obj *n, struct err *err)
{
	if (validate_links(n, err))
		return -1;
	vec_each(a, &n->addrs) {
		if (validate_addr(n, a, err))
			return -1;
	}
	vec_each(r, &n->routes) {
		if (validate_route(n, r, err))
			return -1;
	}
	return 0;
}

int validate_ns(const struct model *m, struct err *err)
{
	vec_each(mount, &m->mounts) {
		if (validate_mount(m, mount, err))
			return err_ctx(err, "mount %u (%s)", mount->id, mount->mountpoint);
	}
	vec_each(f, &m->fsents) {
		if (validate_fsent(m, f, err))
			return err_ctx(err, "file /%s of mount %u", f->path, f->mount);
	}
	if (m->netns.nr > 1)
		return validate_bad(err, "netns: %zu instead of one", m->netns.nr);
	vec_each(n, &m->netns) {
		if (validate_netns(n, err))
			return err_ctx(err, "netns");
	}
	if (m->ipc.nr > 1)
		return validate_bad(err, "ipc: %zu instead of one", m->ipc.nr);
	return validate_msgqs(m, err) || validate_semsets(m, err) ? -1 : 0;
}
