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
	_free_ char *text = ve_net_print(addrs);

	ve_conf_set(&ve->conf, "IP_ADDRESS", text);
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

/* The same changes to what it has now, which need not be what its config says. */
static void change_now(struct venet_addrs *addrs, const struct verst_change *change)
{
	struct err ignored = ERR_INIT;
	struct in_addr addr;
	size_t i;

	if (strcmp(change->key, "IP_ADDRESS"))
		return;
	if (change->how == VERST_SET || !strcmp(change->value, "all"))
		addrs->nr = 0;
	if (ve_net_parse(change->value, strlen(change->value), &addr, &ignored))
		return;
	i = index_of(addrs, addr);
	if (change->how == VERST_REMOVE && i < addrs->nr)
		memmove(&addrs->at[i], &addrs->at[i + 1], (--addrs->nr - i) * sizeof(addr));
	else if (change->how != VERST_REMOVE && i == addrs->nr)
		vec_push(addrs, addr);
}

static int apply_addrs(const struct ve *ve, const struct ve_run *run, struct ve_info *info,
		       const struct venet_addrs *new, struct err *err)
{
	vec_each(addr, &info->addrs) {
		struct venet_addrs one = {addr, 1, 1};

		if (index_of(new, *addr) == new->nr && (venet_withdraw(info->venet_host, &one, err) ||
							venet_del_inside(run->netns_fd, *addr, err)))
			return -1;
	}
	if (!info->venet_host[0] && new->nr) {
		ve_net_host_name(ve, info->venet_host);
		if (venet_make(info->venet_host, run->netns_fd, new, err))
			return -1;
	}
	vec_each(addr, new) {
		struct venet_addrs one = {addr, 1, 1};

		if (index_of(&info->addrs, *addr) == info->addrs.nr &&
		    (venet_add_inside(run->netns_fd, *addr, err) ||
		     venet_announce(info->venet_host, &one, err)))
			return -1;
	}
	return 0;
}

/* Noted in the info too: from there the VE's supervisor knows what to take back at the end. */
static int change_addrs_now(const struct ve *ve, const struct ve_run *run, const struct verst_change *changes,
			    size_t nr, struct err *err)
{
	struct venet_addrs new = {0}, old;
	struct err ignored = ERR_INIT;
	struct ve_info info;
	int r = 0;

	if (ve_info_read(ve, &info, err))
		return -1;
	vec_each(addr, &info.addrs)
		vec_push(&new, *addr);
	for (size_t i = 0; i < nr; i++)
		change_now(&new, &changes[i]);
	r = apply_addrs(ve, run, &info, &new, err);
	old = info.addrs;
	info.addrs = new;
	if (r)
		apply_addrs(ve, run, &info, &old, &ignored);
	else
		r = ve_info_write(ve, &info, err);
	vec_free(&old);
	ve_info_close(&info);
	return r;
}

static int apply(const struct ve *ve, const struct verst_change *changes, size_t nr, struct err *err)
{
	struct ve_run run;
	int r = 0;

	if (ve_run_open(ve, &run, err))
		return -1;
	for (size_t i = 0; !r && i < nr; i++) {
		struct rename rename = {&run, changes[i].value};

		if (!strcmp(changes[i].key, "HOSTNAME") && *changes[i].value)
			r = helper_run(rename_in_helper, &rename, NULL, err);
	}
	if (!r)
		r = change_addrs_now(ve, &run, changes, nr, err);
	ve_run_close(&run);
	return r;
}

static int set(struct ve *ve, const struct verst_change *changes, size_t nr, bool save, struct err *err)
{
	for (size_t i = 0; i < nr; i++)
		if (set_one(ve, &changes[i], err))
			return -1;
	if (ve_is_running(ve) && apply(ve, changes, nr, err))
		return -1;
	return save ? ve_save(ve, err) : 0;
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
