/* SPDX-License-Identifier: MIT */
/* Two libraries of different make with functions of the same names, as libevent and libev are. */
void guarded_loop(void);
void guarded_add(void);

__attribute__((visibility("default"))) void guarded_loop(void)
{
}

__attribute__((visibility("default"))) void guarded_add(void)
{
}
