/* SPDX-License-Identifier: GPL-2.0-only */
/* Floating point and vector registers of threads that never leave user mode: x87, SSE, AVX, AVX-512, MXCSR.
 */
#include <immintrin.h>
#include <pthread.h>
#include <sys/resource.h>

#include "tests/live/live.h"

#define NR 2

struct one {
	pthread_t thread;
	unsigned nr;
	volatile int started, stop;
	unsigned char put[32][64] __attribute__((aligned(64)));
	unsigned char got[32][64] __attribute__((aligned(64)));
	uint64_t masks_put[8], masks_got[8];
	long double x87_put, x87_got;
	uint16_t control_put, control_got;
	uint32_t mxcsr_put, mxcsr_got;
	bool avx512;
};

static struct one all[NR];

/* All state is loaded, the thread spins on a word of memory, all state is stored: one piece of assembly. */
#define LOAD16(kind, size)                                                                                   \
	kind " 0*64(%[put]), %%" size "mm0\n" kind " 1*64(%[put]), %%" size "mm1\n" kind                     \
	     " 2*64(%[put]), %%" size "mm2\n" kind " 3*64(%[put]), %%" size "mm3\n" kind                     \
	     " 4*64(%[put]), %%" size "mm4\n" kind " 5*64(%[put]), %%" size "mm5\n" kind                     \
	     " 6*64(%[put]), %%" size "mm6\n" kind " 7*64(%[put]), %%" size "mm7\n" kind                     \
	     " 8*64(%[put]), %%" size "mm8\n" kind " 9*64(%[put]), %%" size "mm9\n" kind                     \
	     " 10*64(%[put]), %%" size "mm10\n" kind " 11*64(%[put]), %%" size "mm11\n" kind                 \
	     " 12*64(%[put]), %%" size "mm12\n" kind " 13*64(%[put]), %%" size "mm13\n" kind                 \
	     " 14*64(%[put]), %%" size "mm14\n" kind " 15*64(%[put]), %%" size "mm15\n"
#define STORE16(kind, size)                                                                                  \
	kind " %%" size "mm0, 0*64(%[got])\n" kind " %%" size "mm1, 1*64(%[got])\n" kind " %%" size          \
	     "mm2, 2*64(%[got])\n" kind " %%" size "mm3, 3*64(%[got])\n" kind " %%" size                     \
	     "mm4, 4*64(%[got])\n" kind " %%" size "mm5, 5*64(%[got])\n" kind " %%" size                     \
	     "mm6, 6*64(%[got])\n" kind " %%" size "mm7, 7*64(%[got])\n" kind " %%" size                     \
	     "mm8, 8*64(%[got])\n" kind " %%" size "mm9, 9*64(%[got])\n" kind " %%" size                     \
	     "mm10, 10*64(%[got])\n" kind " %%" size "mm11, 11*64(%[got])\n" kind " %%" size                 \
	     "mm12, 12*64(%[got])\n" kind " %%" size "mm13, 13*64(%[got])\n" kind " %%" size                 \
	     "mm14, 14*64(%[got])\n" kind " %%" size "mm15, 15*64(%[got])\n"
#define LOAD_HIGH                                                                                            \
	"vmovdqu64 16*64(%[put]), %%zmm16\nvmovdqu64 23*64(%[put]), %%zmm23\n"                               \
	"vmovdqu64 31*64(%[put]), %%zmm31\nkmovq 1*8(%[masks]), %%k1\nkmovq 7*8(%[masks]), %%k7\n"
#define STORE_HIGH                                                                                           \
	"vmovdqu64 %%zmm16, 16*64(%[got])\nvmovdqu64 %%zmm23, 23*64(%[got])\n"                               \
	"vmovdqu64 %%zmm31, 31*64(%[got])\nkmovq %%k1, 1*8(%[masks_got])\nkmovq %%k7, 7*8(%[masks_got])\n"
#define X87_IN "fldcw %[control]\nfldt %[x87]\nldmxcsr %[mxcsr]\n"
#define X87_OUT                                                                                              \
	"fstpt %[x87_got]\nfnstcw %[control_got]\nstmxcsr %[mxcsr_got]\nfninit\nldmxcsr %[mxcsr_std]\n"
#define SPIN "movl $1, %[started]\n1: pause\ncmpl $0, %[stop]\nje 1b\n"
#define OPERANDS(one)                                                                                        \
	: [started] "=m"((one)->started), [x87_got] "=m"((one)->x87_got),                             \
	  [control_got] "=m"((one)->control_got), [mxcsr_got] "=m"((one)->mxcsr_got)                  \
	: [put] "r"((one)->put), [got] "r"((one)->got), [stop] "m"((one)->stop),                      \
	  [control] "m"((one)->control_put), [x87] "m"((one)->x87_put), [mxcsr] "m"((one)->mxcsr_put), \
	  [masks] "r"((one)->masks_put), [masks_got] "r"((one)->masks_got), [mxcsr_std] "m"(mxcsr_std) \
	: "memory"

static const uint32_t mxcsr_std = 0x1f80;

__attribute__((target("avx512f,avx512bw"))) static void spin_avx512(struct one *one)
{
	__asm__ volatile(LOAD16("vmovdqu64", "z") LOAD_HIGH X87_IN SPIN STORE16("vmovdqu64", "z")
				 STORE_HIGH X87_OUT OPERANDS(one),
			 "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
			 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "k1", "k7");
}

__attribute__((target("avx"))) static void spin_avx(struct one *one)
{
	__asm__ volatile(LOAD16("vmovdqu", "y") X87_IN SPIN STORE16("vmovdqu", "y") X87_OUT OPERANDS(one),
			 "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
			 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void *run(void *p)
{
	struct one *one = p;

	setpriority(PRIO_PROCESS, 0, 19); /* it spins: let the others run */
	if (one->avx512)
		spin_avx512(one);
	else
		spin_avx(one);
	return NULL;
}

static int sabotage(int nr)
{
	switch (nr) {
	case 1: /* the upper halves of the AVX registers are lost */
		memset(all[0].put[3] + 16, 0, 16);
		return 0;
	case 2:
		all[1].mxcsr_put ^= 0x2000;
		return 0;
	case 3:
		all[1].control_put ^= 0x0400;
		return 0;
	case 4:
		all[0].x87_put += 1;
		return 0;
	case 5:
		if (!all[0].avx512)
			return -1;
		all[0].masks_put[7]++;
		return 0;
	case 6:
		if (!all[0].avx512)
			return -1;
		memset(all[0].put[31] + 32, 0, 16);
		return 0;
	}
	return -1;
}

static void check(const struct one *one)
{
	size_t width = one->avx512 ? 64 : 32;

	for (int i = 0; i < 16; i++)
		CHECK(!memcmp(one->got[i], one->put[i], width));
	if (one->avx512) {
		CHECK(!memcmp(one->got[16], one->put[16], 64));
		CHECK(!memcmp(one->got[23], one->put[23], 64));
		CHECK(!memcmp(one->got[31], one->put[31], 64));
		CHECK_EQ(one->masks_got[1], one->masks_put[1]);
		CHECK_EQ(one->masks_got[7], one->masks_put[7]);
	}
	CHECK(!memcmp(&one->x87_got, &one->x87_put, 10));
	CHECK_EQ(one->control_got, one->control_put);
	CHECK_EQ(one->mxcsr_got, one->mxcsr_put);
}

int main(void)
{
	if (!__builtin_cpu_supports("avx"))
		live_skip("this CPU has no AVX");
	for (unsigned i = 0; i < NR; i++) {
		struct one *one = &all[i];

		one->nr = i;
		one->avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
		live_fill(one->put, sizeof(one->put), 50 + i);
		one->masks_put[1] = 0x1122334455667788 + i;
		one->masks_put[7] = 0x99aabbccddeeff00 + i;
		one->x87_put = 3.25L + i;
		one->control_put = (uint16_t)(0x037f | (i + 1) << 10); /* rounding */
		one->mxcsr_put = 0x1f80 | (i + 1) << 13;
		if (pthread_create(&one->thread, NULL, run, one))
			live_die("pthread_create");
		while (!one->started)
			poll(NULL, 0, 1);
	}

	live_wait(sabotage);

	for (unsigned i = 0; i < NR; i++) {
		all[i].stop = 1;
		pthread_join(all[i].thread, NULL);
		check(&all[i]);
	}
	return live_end();
}
