// SPDX-License-Identifier: GPL-2.0-only
#include "images/images.h"
#include "include/verst.h"

int verst_image_show(int in_fd, bool json, void (*line)(const char *text, void *arg), void *arg,
		     struct err *err)
{
	return img_show(in_fd, json, line, arg, err);
}

int verst_image_verify(int in_fd, struct err *err)
{
	return img_verify(in_fd, err);
}
