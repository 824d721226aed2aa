// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/netlock.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netfilter.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kernel/netns.h"
#include "lib/lib.h"

/* Linux 6.4's include/uapi/linux/bpf.h, newer than the headers this is built with */
#define PROG_TYPE_NETFILTER 32
#define ATTACH_NETFILTER    45
struct link_create_netfilter {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint32_t pf, hooknum;
	int32_t priority;
	uint32_t nf_flags;
};

/* Behind defragmentation (-400), before conntrack (-200): what is dropped leaves no trace. */
#define LOCK_PRIORITY (-350)

/* Several may hold a lock of the same VE (a migration's commit: the dump and the supervisor): each a priority
 * of its own. */
#define LOCK_HOLDERS 8

#define LOCK_LINKS 4

struct netlock {
	int netns_fd, cgroup_fd;
	bool netfilter;
	uint32_t mark;
	int progs[2]; /* netfilter: one; cgroup: ingress, egress */
	int links[LOCK_LINKS];
};

/* What comes in is dropped before it is routed (so that nothing is forwarded), what goes out as soon as it is
 * made. */
static const struct {
	uint32_t pf, hook;
} netfilter_hooks[LOCK_LINKS] = {
	{NFPROTO_IPV4, NF_INET_PRE_ROUTING},
	{NFPROTO_IPV4, NF_INET_LOCAL_OUT},
	{NFPROTO_IPV6, NF_INET_PRE_ROUTING},
	{NFPROTO_IPV6, NF_INET_LOCAL_OUT},
};

static const int cgroup_hooks[] = {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS};

/* Offset in bytes of a member, which may be inside of unnamed unions and structs; -1 if there is none. */
static int64_t member_offset(const struct btf *btf, const struct btf_type *type, const char *name)
{
	const struct btf_member *m = btf_members(type);

	for (unsigned i = 0; i < btf_vlen(type); i++, m++) {
		const char *of = btf__name_by_offset(btf, m->name_off);
		int64_t at = btf_member_bit_offset(type, i) / 8, inner;
		const struct btf_type *t = btf__type_by_id(btf, m->type);

		if (of && !strcmp(of, name))
			return at;
		if ((of && *of) || !t || !btf_is_composite(t))
			continue;
		inner = member_offset(btf, t, name);
		if (inner >= 0)
			return at + inner;
	}
	return -1;
}

static int64_t skb_mark_offset(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int64_t at = -1;
	int32_t id;

	if (!btf)
		return -1;
	id = btf__find_by_name_kind(btf, "sk_buff", BTF_KIND_STRUCT);
	if (id >= 0)
		at = member_offset(btf, btf__type_by_id(btf, id), "mark");
	btf__free(btf);
	return at;
}

#define LOAD(size, dst, src, offset)                                                                         \
	((struct bpf_insn){BPF_LDX | BPF_MEM | (size), (dst), (src), (int16_t)(offset), 0})
#define SET(dst, value) ((struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, (dst), 0, 0, (value)})
#define SKIP_IF_EQUAL(dst, value, nr)                                                                        \
	((struct bpf_insn){BPF_JMP32 | BPF_JEQ | BPF_K, (dst), 0, (nr), (int32_t)(value)})
#define EXIT ((struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0})

/* NF_ACCEPT, and "pass" of cgroup programs, are 1; NF_DROP, and their "drop", are 0. */
static int load(enum bpf_prog_type type, int attach_type, const struct bpf_insn *insns, size_t nr)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)attach_type);

	return bpf_prog_load(type, "verst_netlock", "GPL", insns, nr, &opts);
}

static int load_netfilter(struct netlock *n)
{
	int64_t mark_at = skb_mark_offset();
	const struct bpf_insn insns[] = {
		LOAD(BPF_DW, BPF_REG_2, BPF_REG_1, sizeof(uint64_t)), /* struct bpf_nf_ctx: state, skb */
		LOAD(BPF_W, BPF_REG_3, BPF_REG_2, mark_at),
		SET(BPF_REG_0, NF_ACCEPT),
		SKIP_IF_EQUAL(BPF_REG_3, n->mark, 1),
		SET(BPF_REG_0, NF_DROP),
		EXIT,
	};

	if (mark_at < 0)
		return -1;
	n->progs[0] =
		load((enum bpf_prog_type)PROG_TYPE_NETFILTER, ATTACH_NETFILTER, insns, ARRAY_LEN(insns));
	return n->progs[0] < 0 ? -1 : 0;
}

static int load_cgroup(struct netlock *n, struct err *err)
{
	const struct bpf_insn insns[] = {
		LOAD(BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct __sk_buff, mark)),
		SET(BPF_REG_0, 1),
		SKIP_IF_EQUAL(BPF_REG_3, n->mark, 1),
		SET(BPF_REG_0, 0),
		EXIT,
	};

	for (size_t i = 0; i < ARRAY_LEN(cgroup_hooks); i++) {
		n->progs[i] = load(BPF_PROG_TYPE_CGROUP_SKB, cgroup_hooks[i], insns, ARRAY_LEN(insns));
		if (n->progs[i] < 0)
			return err_sys(err, "network lock: loading its BPF program");
	}
	return 0;
}

static int attach(struct netlock *n, size_t i, int *ret, struct err *err)
{
	if (n->netfilter) {
		struct link_create_netfilter attr = {.prog_fd = (uint32_t)n->progs[0],
						     .attach_type = ATTACH_NETFILTER,
						     .pf = netfilter_hooks[i].pf,
						     .hooknum = netfilter_hooks[i].hook,
						     .priority = LOCK_PRIORITY};

		/* net/netfilter/core.c: a BPF program's priority must be its own, else EBUSY */
		do
			*ret = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
		while (*ret < 0 && errno == EBUSY && ++attr.priority < LOCK_PRIORITY + LOCK_HOLDERS);
	} else {
		*ret = bpf_link_create(n->progs[i], n->cgroup_fd, (enum bpf_attach_type)cgroup_hooks[i],
				       NULL);
	}
	return *ret < 0 ? err_sys(err, "network lock") : 0;
}

int netlock_prepare(int netns_fd, int cgroup_fd, struct netlock **ret, struct err *err)
{
	struct netlock *n = mem_new(struct netlock);

	*n = (struct netlock){-1, -1, .progs = {-1, -1}, .links = {-1, -1, -1, -1}};
	if (getrandom(&n->mark, sizeof(n->mark), 0) != sizeof(n->mark)) {
		netlock_free(n);
		return err_sys(err, "getrandom");
	}
	n->mark |= 1; /* never 0, which is no mark */
	n->netns_fd = netns_fd < 0 ? -1 : fcntl(netns_fd, F_DUPFD_CLOEXEC, 3);
	n->cgroup_fd = cgroup_fd < 0 ? -1 : fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 3);
	n->netfilter = n->netns_fd >= 0 && !load_netfilter(n);
	if (!n->netfilter && n->cgroup_fd < 0) {
		netlock_free(n);
		return err_set(err, ERR_KERNEL,
			       "network lock: this kernel has no BPF netfilter programs (Linux 6.4)");
	}
	if (!n->netfilter && load_cgroup(n, err)) {
		netlock_free(n);
		return -1;
	}
	*ret = n;
	return 0;
}

int netlock_take(struct netlock *n, struct err *err)
{
	_netns_ struct netns_scope scope = NETNS_NONE;
	size_t nr = n->netfilter ? ARRAY_LEN(netfilter_hooks) : ARRAY_LEN(cgroup_hooks);

	if (n->netfilter && netns_enter(&scope, n->netns_fd, err))
		return -1;
	for (size_t i = 0; i < nr; i++) {
		if (n->links[i] < 0 && attach(n, i, &n->links[i], err)) {
			netlock_release(n);
			return -1;
		}
	}
	return 0;
}

static void close_all(int *fds, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		cleanup_fd(&fds[i]);
		fds[i] = -1;
	}
}

void netlock_release(struct netlock *n)
{
	close_all(n->links, ARRAY_LEN(n->links));
}

void netlock_free(struct netlock *n)
{
	if (!n)
		return;
	netlock_release(n);
	close_all(n->progs, ARRAY_LEN(n->progs));
	close_all(&n->netns_fd, 1);
	close_all(&n->cgroup_fd, 1);
	free(n);
}

uint32_t netlock_mark(const struct netlock *n)
{
	return n->mark;
}
