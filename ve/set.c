// SPDX-License-Identifier: GPL-2.0-only
#include "ve/set.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "kernel/helper.h"
#include "ve/info.h"
#include "ve/net.h"
#include "ve/node.h"
#include "ve/open.h"

/* --- the values --- */

static int check_hostname(struct ve *ve, const char *value, struct err *err)
{
	size_t len = strlen(value);

	if (!len || len > 64 || value[0] == '-' || value[0] == '.')
		return err_set(err, ERR_VALUE, "bad hostname '%s'", value);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)value[i]) && value[i] != '-' && value[i] != '.')
			return err_set(err, ERR_VALUE, "bad hostname '%s'", value);
	return 0;
}

static int check_name(struct ve *ve, const char *value, struct err *err)
{
	unsigned other;

	if (!*value)
		return 0;
	if (ve_open_check_name(value, err))
		return -1;
	other = ve_open_find_name(ve->node, value, err);
	if (err->code)
		return -1;
	return other && other != ve->id
		       ? err_set(err, ERR_NAME, "the name '%s' belongs to VE %u", value, other)
		       : 0;
}

static int check_nameserver(struct ve *ve, const char *value, struct err *err)
{
	for (value += strspn(value, " "); *value; value += strspn(value, " ")) {
		size_t len = strcspn(value, " ");
		char one[INET6_ADDRSTRLEN], bin[16];

		snprintf(one, sizeof(one), "%.*s", (int)len, value);
		if (len >= sizeof(one) ||
		    (inet_pton(AF_INET, one, bin) != 1 && inet_pton(AF_INET6, one, bin) != 1))
			return err_set(err, ERR_BAD_IP, "'%s' is no address of a name server", one);
		value += len;
	}
	return 0;
}

static int check_text(struct ve *ve, const char *value, struct err *err)
{
	for (; *value; value++)
		if (iscntrl((unsigned char)*value))
			return err_set(err, ERR_VALUE, "control characters in a value");
	return 0;
}

static int check_yes_no(struct ve *ve, const char *value, struct err *err)
{
	return strcmp(value, "yes") && strcmp(value, "no")
		       ? err_set(err, ERR_VALUE, "'%s' is neither yes nor no", value)
		       : 0;
}

static int check_seconds(struct ve *ve, const char *value, struct err *err)
{
	char *end;
	unsigned long s = strtoul(value, &end, 10);

	return !isdigit((unsigned char)*value) || *end || s > 86400
		       ? err_set(err, ERR_VALUE, "'%s' is no number of seconds", value)
		       : 0;
}

static const struct {
	const char *key;
	int (*check)(struct ve *ve, const char *value, struct err *err);
} keys[] = {
	{"NAME", check_name},
	{"HOSTNAME", check_hostname},
	{"NAMESERVER", check_nameserver},
	{"SEARCHDOMAIN", check_text},
	{"DESCRIPTION", check_text},
	{"ONBOOT", check_yes_no},
	{"STOP_TIMEOUT", check_seconds},
	{"OSTEMPLATE", check_text},
};

/* --- addresses --- */

static void put_addrs(struct ve *ve, const struct venet_addrs *addrs)
{
	char *text = mem_strdup("");

	vec_each (addr, addrs) {
		char one[INET_ADDRSTRLEN];
		char *more;

		inet_ntop(AF_INET, addr, one, sizeof(one));
		more = mem_printf("%s%s%s", text, *text ? " " : "", one);
		free(text);
		text = more;
	}
	ve_conf_set(&ve->conf, "IP_ADDRESS", text);
	free(text);
}

static size_t index_of(const struct venet_addrs *addrs, struct in_addr addr)
{
	size_t i = 0;

	while (i < addrs->nr && addrs->at[i].s_addr != addr.s_addr)
		i++;
	return i;
}

static int change_addrs(struct ve *ve, struct venet_addrs *addrs, const struct verst_change *change,
			struct err *err)
{
	struct in_addr addr;
	size_t i;

	if (change->how == VERST_REMOVE && !strcmp(change->value, "all")) {
		addrs->nr = 0;
		return 0;
	}
	if (ve_net_parse(change->value, strlen(change->value), &addr, err))
		return -1;
	i = index_of(addrs, addr);
	if (change->how == VERST_REMOVE) {
		if (i == addrs->nr)
			return err_set(err, ERR_BAD_IP, "VE %u does not have address %s", ve->id,
				       change->value);
		memmove(&addrs->at[i], &addrs->at[i + 1], (--addrs->nr - i) * sizeof(addr));
		return 0;
	}
	if (i < addrs->nr)
		return err_set(err, ERR_IP_IN_USE, "VE %u has address %s already", ve->id, change->value);
	if (ve_net_check_free(ve, addr, false, err))
		return -1;
	vec_push(addrs, addr);
	return 0;
}

int set_one(struct ve *ve, const struct verst_change *change, struct err *err)
{
	struct venet_addrs addrs;
	int r;

	if (!strcmp(change->key, "IP_ADDRESS")) {
		if (ve_net_addrs(&ve->conf, &addrs, err))
			return -1;
		if (change->how == VERST_SET)
			addrs.nr = 0;
		r = change_addrs(ve, &addrs, change, err);
		if (!r)
			put_addrs(ve, &addrs);
		vec_free(&addrs);
		return r;
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(keys[i].key, change->key))
			continue;
		if (keys[i].check(ve, change->value, err))
			return -1;
		if (*change->value)
			ve_conf_set(&ve->conf, change->key, change->value);
		else
			ve_conf_unset(&ve->conf, change->key);
		return 0;
	}
	return err_set(err, ERR_VALUE, "%s cannot be set", change->key);
}

/* --- a running VE --- */

struct rename {
	const struct ve_run *run;
	const char *hostname;
};

static int rename_in_helper(void *arg, int *ret_fd, struct err *err)
{
	const struct rename *rename = arg;

	if (setns(rename->run->init_pidfd, CLONE_NEWUTS) ||
	    sethostname(rename->hostname, strlen(rename->hostname)))
		return err_sys(err, "hostname %s", rename->hostname);
	return 0;
}

/* The first address of a VE that was started without one. */
static int make_link(const struct ve *ve, struct ve_run *run, const struct venet_addrs *addrs,
		     struct err *err)
{
	struct ve_info info;
	int r;

	if (ve_info_read(ve, &info, err))
		return -1;
	ve_net_host_name(ve, info.venet_host);
	r = venet_make(info.venet_host, run->netns_fd, addrs, err);
	if (!r)
		r = ve_info_write(ve, &info, err);
	strcpy(run->venet_host, info.venet_host);
	ve_info_close(&info);
	return r;
}

static int apply_addrs(const struct ve *ve, struct ve_run *run, const struct venet_addrs *old,
		       const struct venet_addrs *new, struct err *err)
{
	vec_each (addr, old) {
		struct venet_addrs one = {addr, 1, 1};

		if (index_of(new, *addr) == new->nr && (venet_withdraw(run->venet_host, &one, err) ||
							venet_del_inside(run->netns_fd, *addr, err)))
			return -1;
	}
	if (!run->venet_host[0] && new->nr && make_link(ve, run, new, err))
		return -1;
	vec_each (addr, new) {
		struct venet_addrs one = {addr, 1, 1};

		if (index_of(old, *addr) == old->nr && (venet_add_inside(run->netns_fd, *addr, err) ||
							venet_announce(run->venet_host, &one, err)))
			return -1;
	}
	return 0;
}

static int apply(const struct ve *ve, struct ve_run *run, const struct venet_addrs *old,
		 const char *old_hostname, struct err *err)
{
	const char *hostname = ve_conf_get(&ve->conf, "HOSTNAME");
	struct rename rename = {run, hostname};
	struct venet_addrs new;
	int r = 0;

	if (ve_net_addrs(&ve->conf, &new, err))
		return -1;
	if (hostname && strcmp(hostname, old_hostname))
		r = helper_run(rename_in_helper, &rename, NULL, err);
	if (!r && apply_addrs(ve, run, old, &new, err)) {
		struct err ignored = ERR_INIT;

		apply_addrs(ve, run, &new, old, &ignored);
		r = -1;
	}
	vec_free(&new);
	return r;
}

static int set(struct ve *ve, const struct verst_change *changes, size_t nr, bool save, struct err *err)
{
	const char *hostname = ve_conf_get(&ve->conf, "HOSTNAME");
	_free_ char *old_hostname = mem_strdup(hostname ? hostname : "");
	struct venet_addrs old;
	struct ve_run run;
	int r = 0;

	if (ve_net_addrs(&ve->conf, &old, err))
		return -1;
	for (size_t i = 0; !r && i < nr; i++)
		r = set_one(ve, &changes[i], err);
	if (!r && ve_is_running(ve) && !(r = ve_run_open(ve, &run, err))) {
		r = apply(ve, &run, &old, old_hostname, err);
		ve_run_close(&run);
	}
	if (!r && save)
		r = ve_save(ve, err);
	vec_free(&old);
	return r;
}

int verst_set(struct verst *v, const char *id_or_name, const struct verst_change *changes, size_t nr,
	      bool save, struct err *err)
{
	struct ve ve;
	int r;

	if (ve_open(&v->node, id_or_name, true, &ve, err))
		return -1;
	r = set(&ve, changes, nr, save, err);
	ve_close(&ve);
	return r;
}
