// SPDX-License-Identifier: GPL-2.0-only
#include "cli/findings.h"

#include <json.h>

static void print_json(FILE *to, const struct verst_findings *f)
{
	json_object *array = json_object_new_array();

	for (unsigned long i = 0; i < f->nr; i++) {
		json_object *o = json_object_new_object();

		json_object_object_add(o, "where", json_object_new_string(f->at[i].where));
		json_object_object_add(o, "what", json_object_new_string(f->at[i].what));
		if (f->at[i].hint)
			json_object_object_add(o, "hint", json_object_new_string(f->at[i].hint));
		json_object_array_add(array, o);
	}
	fprintf(to, "%s\n",
		json_object_to_json_string_ext(array,
					       JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(array);
}

void findings_print(const struct cli *cli, FILE *to, const struct verst_findings *f)
{
	if (cli->json) {
		print_json(to, f);
		return;
	}
	for (unsigned long i = 0; i < f->nr; i++) {
		fprintf(to, "%s: %s\n", f->at[i].where, f->at[i].what);
		if (f->at[i].hint)
			fprintf(to, "    -> %s\n", f->at[i].hint);
	}
}
