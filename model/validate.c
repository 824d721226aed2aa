// SPDX-License-Identifier: GPL-2.0-only
#include "model/validate.h"

#include <stdio.h>

int validate_bad(struct err *err, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, ERR_IMAGE, "%s", text);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

bool validate_unique(uint32_t *numbers, size_t nr, uint32_t *ret_twice)
{
	if (nr > 1)
		qsort(numbers, nr, sizeof(*numbers), by_number);
	for (size_t i = 1; i < nr; i++) {
		if (numbers[i] == numbers[i - 1]) {
			*ret_twice = numbers[i];
			return false;
		}
	}
	return true;
}

static int validate_ve(const struct model *m, struct err *err)
{
	const struct ve_obj *ve = m->ve.at;

	if (m->ve.nr != 1)
		return validate_bad(err, "ve: %zu records of the VE itself instead of one", m->ve.nr);
	if (ve->page_bytes < 4096 || ve->page_bytes > 65536 || (ve->page_bytes & (ve->page_bytes - 1)))
		return validate_bad(err, "ve: impossible page size %u", ve->page_bytes);
	if (!ve->id || ve->id > INT32_MAX)
		return validate_bad(err, "ve: impossible id %u", ve->id);
	if (ve->monotonic_ns < 0 || ve->boottime_ns < 0)
		return validate_bad(err, "ve: clocks before their beginning");
	return 0;
}

int model_validate(const struct model *m, struct err *err)
{
	static int (*const parts[])(const struct model *m, struct err *err) = {
		validate_ve,	  validate_ns,	  validate_memory,  validate_files,
		validate_sockets, validate_tasks, validate_cgroups,
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (parts[i](m, err))
			return -1;
	}
	return 0;
}
