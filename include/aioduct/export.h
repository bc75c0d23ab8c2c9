/* SPDX-License-Identifier: MIT */
/**
 * aioduct/export.h - marks the functions that libaioduct exports.
 */
#ifndef AIODUCT_EXPORT_H
#define AIODUCT_EXPORT_H

/** Stands before what the library exports; everything else is hidden. */
#if defined(__GNUC__)
#define AIODUCT_API __attribute__((visibility("default")))
#else
#define AIODUCT_API
#endif

#endif /* AIODUCT_EXPORT_H */
