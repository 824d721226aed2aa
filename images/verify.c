// SPDX-License-Identifier: GPL-2.0-only
#include "images/read.h"

/* What a migration or a checkpoint wrote last of each kind is what counts, as for a restore. */
int img_verify(int fd, struct err *err)
{
	struct img_record record = {0};
	struct img_reader *r;
	struct model m = {0};
	int ret;

	if (img_reader_open(fd, &r, err))
		return -1;
	do {
		ret = img_read(r, &m, &record, err);
		if (!ret)
			img_drop_content(&m, &record);
	} while (!ret && record.item != IMG_END);
	if (!ret && model_validate(&m, err))
		ret = err_ctx(err, "image: all records are whole, but");
	img_reader_close(r);
	model_free(&m);
	return ret;
}
