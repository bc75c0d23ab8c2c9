/* SPDX-License-Identifier: MIT */
/**
 * aioduct/aioduct.h - everything that an application needs. Plugin authors include
 * <aioduct/plugin/plugin.h>.
 */
#ifndef AIODUCT_AIODUCT_H
#define AIODUCT_AIODUCT_H

#include <aioduct/client.h>
#include <aioduct/error.h>
#include <aioduct/event.h>
#include <aioduct/exchange.h>
#include <aioduct/loop.h>
#include <aioduct/request.h>
#include <aioduct/runtime.h>
#include <aioduct/stats.h>

#endif /* AIODUCT_AIODUCT_H */
