// SPDX-License-Identifier: GPL-2.0-only
#include "kernel/devices.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

static const struct {
	uint32_t first_major, last_major; /* all character devices */
	int minor;			  /* -1: any */
} allowed[] = {
	{1, 1, 3}, {1, 1, 5}, {1, 1, 7}, {1, 1, 8}, {1, 1, 9}, {5, 5, 0}, {5, 5, 2}, {136, 143, -1},
};

static int limit_v1(const char *dir, struct err *err)
{
	_fd_ int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "%s", dir);
	if (io_write_file(fd, "devices.deny", "a", err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		for (uint32_t major = allowed[i].first_major; major <= allowed[i].last_major; major++) {
			char rule[64];

			if (allowed[i].minor < 0)
				snprintf(rule, sizeof(rule), "c %u:* rwm", major);
			else
				snprintf(rule, sizeof(rule), "c %u:%d rwm", major, allowed[i].minor);
			if (io_write_file(fd, "devices.allow", rule, err))
				return -1;
		}
	}
	return 0;
}

#define INSN(c, d, s, o, i)                                                                                  \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define LOAD(dst, field)                                                                                     \
	INSN(BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, field), 0)
#define JUMP(op, reg, value, skip) INSN(BPF_JMP | (op) | BPF_K, reg, 0, skip, (int)(value))
#define SET(reg, value)		   INSN(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, value)
#define RETURN()		   INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* r2 type, r3 major, r4 minor; per rule: skip to the next if it does not match, else return 1. */
static size_t make_program(struct bpf_insn *insn)
{
	size_t nr = 0;

	insn[nr++] = LOAD(BPF_REG_2, access_type);
	insn[nr++] =
		INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff); /* above: the kind of access */
	insn[nr++] = LOAD(BPF_REG_3, major);
	insn[nr++] = LOAD(BPF_REG_4, minor);
	insn[nr++] = JUMP(BPF_JEQ, BPF_REG_2, BPF_DEVCG_DEV_CHAR, 2);
	insn[nr++] = SET(BPF_REG_0, 0);
	insn[nr++] = RETURN();
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		bool any = allowed[i].minor < 0;

		insn[nr++] = JUMP(BPF_JLT, BPF_REG_3, allowed[i].first_major, any ? 3 : 4);
		insn[nr++] = JUMP(BPF_JGT, BPF_REG_3, allowed[i].last_major, any ? 2 : 3);
		if (!any)
			insn[nr++] = JUMP(BPF_JNE, BPF_REG_4, allowed[i].minor, 2);
		insn[nr++] = SET(BPF_REG_0, 1);
		insn[nr++] = RETURN();
	}
	insn[nr++] = SET(BPF_REG_0, 0);
	insn[nr++] = RETURN();
	return nr;
}

static int limit_v2(int dir, struct err *err)
{
	struct bpf_insn insn[16 + 5 * ARRAY_LEN(allowed)];
	_fd_ int prog = bpf_prog_load(BPF_PROG_TYPE_CGROUP_DEVICE, "verst_devices", "GPL", insn,
				      make_program(insn), NULL);

	if (prog < 0)
		return err_sys(err, "BPF program for devices");
	/* MULTI: programs above and below stay in force too. */
	if (bpf_prog_attach(prog, dir, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI))
		return err_sys(err, "BPF program for devices");
	return 0;
}

int devices_limit(const struct cgroup *cg, struct err *err)
{
	vec_each(v1, &cg->v1)
		if (!strcmp(v1->controllers, "devices"))
			return limit_v1(v1->path, err);
	return limit_v2(cg->v2_fd, err);
}
