// SPDX-License-Identifier: GPL-2.0-only
#include "images/codec.h"

#define OBJECT(name, type, struct_, member)                                                                  \
	static void free_##name(void *obj)                                                                   \
	{                                                                                                    \
		model_free_##name(obj);                                                                      \
	}
#include "model/objects.def"
#undef OBJECT

const struct img_codec img_codecs[IMG_CODECS] = {
#define OBJECT(name_, type_, struct_, member_)                                                               \
	{.name = #name_,                                                                                     \
	 .type = (type_),                                                                                    \
	 .member_offset = offsetof(struct model, member_),                                                   \
	 .obj_bytes = sizeof(struct_),                                                                       \
	 .kind = &img_##name_##_kind,                                                                        \
	 .free = free_##name_},
#include "model/objects.def"
#undef OBJECT
};

const struct img_codec *img_codec_of_type(uint16_t type)
{
	for (size_t i = 0; i < IMG_CODECS; i++) {
		if (img_codecs[i].type == type)
			return &img_codecs[i];
	}
	return NULL;
}
