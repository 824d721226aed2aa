// SPDX-License-Identifier: GPL-2.0-only
#include "migrate/facts.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

/*
 * Words of /proc/cpuinfo that programs never see: the kernel's own marks, power management, virtualisation. A
 * difference in them does not matter to a VE.
 */
static const char *const cpu_ignored[] = {
	"acpi",
	"amd_ibpb_ret",
	"aperfmperf",
	"apic",
	"arat",
	"arch_capabilities",
	"arch_perfmon",
	"art",
	"bts",
	"cat_l2",
	"cat_l3",
	"cdp_l3",
	"constant_tsc",
	"cpuid",
	"cpuid_fault",
	"cqm",
	"dca",
	"ds_cpl",
	"dtes64",
	"dtherm",
	"dts",
	"ept",
	"ept_ad",
	"est",
	"extd_apicid",
	"flexpriority",
	"flush_l1d",
	"hwp",
	"hypervisor",
	"ibpb",
	"ibrs",
	"ibrs_enhanced",
	"ida",
	"intel_pt",
	"invpcid_single",
	"l1tf",
	"mba",
	"mca",
	"mce",
	"md_clear",
	"monitor",
	"mtrr",
	"nonstop_tsc",
	"nopl",
	"pat",
	"pbe",
	"pdcm",
	"pebs",
	"pln",
	"pti",
	"pts",
	"rdt_a",
	"rep_good",
	"ss",
	"ssbd",
	"stibp",
	"svm",
	"tm",
	"tm2",
	"tpr_shadow",
	"tsc_deadline_timer",
	"tsc_known_freq",
	"tsc_reliable",
	"vme",
	"vmx",
	"vnmi",
	"vpid",
	"x2apic",
	"xtopology",
	"xtpr",
	"epb",
	"retpoline",
};

/* What verst_check_node calls the things without which nothing can be restored. */
static const char *const needed_features[] = {"cgroup v2", "namespaces", "time namespace", "clone3 set_tid",
					      "TCP_REPAIR"};

static bool in_list(const msg_list *l, const char *word)
{
	vec_each(it, l)
		if (!strcmp(*it, word))
			return true;
	return false;
}

void facts_take_findings(struct findings *to, struct verst_findings *from)
{
	for (unsigned long i = 0; i < from->nr; i++)
		findings_add(to, from->at[i].where, from->at[i].hint, "%s", from->at[i].what);
	verst_findings_free(from);
	*from = (struct verst_findings){0};
}

/* --- HELLO --- */

void facts_hello(struct msg_hello *ret)
{
	struct utsname u = {0};

	uname(&u);
	*ret = (struct msg_hello){
		.protocol_min = MSG_PROTOCOL,
		.protocol_max = MSG_PROTOCOL,
		.version = mem_strdup(VERST_VERSION),
		.arch = mem_strdup(u.machine),
		.kernel = mem_strdup(u.release),
		.node = mem_strdup(u.nodename),
		.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE),
	};
}

int facts_compare_hello(const struct msg_hello *ours, const struct msg_hello *theirs, struct err *err)
{
	if (ours->protocol_max < theirs->protocol_min || theirs->protocol_max < ours->protocol_min)
		return err_set(err, ERR_PROTOCOL,
			       "%s has verst %s with protocol %u to %u, here is verst %s with %u to %u: "
			       "install one version on both",
			       theirs->node, theirs->version, theirs->protocol_min, theirs->protocol_max,
			       ours->version, ours->protocol_min, ours->protocol_max);
	if (strcmp(ours->arch, theirs->arch))
		return err_set(err, ERR_PROTOCOL, "%s is a %s, this node a %s", theirs->node, theirs->arch,
			       ours->arch);
	if (ours->page_bytes != theirs->page_bytes)
		return err_set(err, ERR_PROTOCOL, "%s has pages of %u bytes, this node of %u", theirs->node,
			       theirs->page_bytes, ours->page_bytes);
	return 0;
}

/* --- CPU and kernel --- */

static bool ignored(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(cpu_ignored); i++)
		if (!strcmp(word, cpu_ignored[i]))
			return true;
	return !strncmp(word, "vmx_", 4) || !strncmp(word, "cqm_", 4) || !strncmp(word, "hwp_", 4) ||
	       !strncmp(word, "xtpr", 4);
}

void facts_cpu(msg_list *ret)
{
	_file_ FILE *f = fopen("/proc/cpuinfo", "re");
	_free_ char *line = NULL;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0) {
		char *at = strchr(line, ':'), *save, *word;

		/* "flags" on x86, "features" and "Features" elsewhere; the first CPU stands for all */
		if (!at || (strncmp(line, "flags", 5) && strncasecmp(line, "features", 8)))
			continue;
		for (word = strtok_r(at + 1, " \t\n", &save); word; word = strtok_r(NULL, " \t\n", &save))
			if (!ignored(word) && ret->nr < MSG_LIST_MAX)
				vec_push(ret, mem_strdup(word));
		return;
	}
}

int facts_features(const struct engine *engine, struct verst *v, msg_list *ret, struct err *err)
{
	struct verst_findings found = {0};

	/* that something is missing is an error of that call; here it is what the comparison will show */
	if (engine->check_node(v, &found, err) && err->code != ERR_KERNEL)
		return -1;
	err_clear(err);
	for (unsigned long i = 0; i < found.nr; i++)
		if (!strncmp(found.at[i].what, "works", 5) && ret->nr < MSG_LIST_MAX)
			vec_push(ret, mem_strdup(found.at[i].where));
	verst_findings_free(&found);
	return 0;
}

static void compare_cpu(const struct msg_preflight *m, struct findings *ret)
{
	msg_list ours = {0};
	char missing[512] = "";
	size_t len = 0;
	unsigned nr = 0;

	facts_cpu(&ours);
	vec_each(it, &m->cpu) {
		if (in_list(&ours, *it))
			continue;
		nr++;
		if (len + strlen(*it) + 2 < sizeof(missing))
			len += (size_t)sprintf(missing + len, "%s%s", len ? " " : "", *it);
	}
	if (nr)
		findings_add(ret, "CPU",
			     "programs of the VE may have seen and may use it; restart the VE there instead",
			     "lacks %s%s", missing, len + 20 > sizeof(missing) ? " ..." : "");
	msg_list_free(&ours);
}

static int compare_features(const struct engine *engine, struct verst *v, const struct msg_preflight *m,
			    struct findings *ret, struct err *err)
{
	msg_list ours = {0};

	if (facts_features(engine, v, &ours, err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(needed_features); i++)
		if (in_list(&m->features, needed_features[i]) && !in_list(&ours, needed_features[i]))
			findings_add(ret, "kernel", "verst check there says why", "%s does not work",
				     needed_features[i]);
	msg_list_free(&ours);
	return 0;
}

static void compare_memory(const struct msg_preflight *m, struct findings *ret)
{
	_file_ FILE *f = fopen("/proc/meminfo", "re");
	_free_ char *line = NULL;
	unsigned long long kib = 0;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0)
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	if (kib && m->memory_bytes > kib * 1024)
		findings_add(ret, "memory", NULL, "the VE has %llu MiB, %llu MiB are available",
			     (unsigned long long)m->memory_bytes >> 20, kib >> 10);
}

/* --- what an earlier migration left --- */

static long long boot_time_s(void)
{
	struct timespec now, up;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return now.tv_sec - up.tv_sec;
}

static int check_journal(const struct engine *engine, struct verst *v, unsigned id, struct findings *ret,
			 struct err *err)
{
	struct verst_journal j;
	int failed = 0;

	if (engine->journal_read(v, id, &j, err))
		return -1;
	switch (j.state) {
	case VERST_JOURNAL_RECEIVING:
	case VERST_JOURNAL_ABORTED:
		/* whoever worked on it before this node's start is gone */
		if (j.time_s < boot_time_s())
			failed = engine->forget(v, id, err) || engine->journal_remove(v, id, j.migration, err)
					 ? -1
					 : 0;
		else
			findings_add(ret, "id", "wait for it, or verst recover there",
				     "another migration of VE %u to this node goes on, or was left", id);
		break;
	case VERST_JOURNAL_COMMITTED:
		failed = engine->journal_settle(v, id, err);
		break;
	case VERST_JOURNAL_DOUBT:
	case VERST_JOURNAL_MOVED:
		findings_add(ret, "id", "verst recover there", "VE %u is just moving away from that node",
			     id);
		break;
	case VERST_JOURNAL_NONE:
		break;
	}
	verst_journal_free(&j);
	return failed;
}

int facts_room(const struct engine *engine, struct verst *v, const struct msg_preflight *m,
	       struct findings *ret, struct err *err)
{
	struct verst_findings room = {0};

	if (engine->room(v, &m->ve, m->files_bytes, &room, err))
		return -1;
	facts_take_findings(ret, &room);
	return 0;
}

int facts_obstacles(const struct engine *engine, struct verst *v, const struct msg_preflight *m,
		    struct findings *ret, struct err *err)
{
	if (geteuid())
		findings_add(ret, "rights", "log in there as root", "the agent does not run as root");
	if (m->ve.id <= 100 || m->ve.id > 2147483644u)
		return err_set(err, ERR_PROTOCOL, "PREFLIGHT: %u is no VE's id", m->ve.id);
	compare_cpu(m, ret);
	compare_memory(m, ret);
	if (compare_features(engine, v, m, ret, err) || check_journal(engine, v, m->ve.id, ret, err))
		return -1;
	return facts_room(engine, v, m, ret, err);
}
