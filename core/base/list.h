/* SPDX-License-Identifier: MIT */
/**
 * Intrusive doubly linked list. A head is a node that points to itself when empty; a node that is
 * on no list does too, once ad_list_init was called on it, so that removing it again does nothing.
 */
#ifndef AD_BASE_LIST_H
#define AD_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ad_list {
    struct ad_list *next, *prev;
};

static inline void ad_list_init(struct ad_list *l)
{
    l->next = l->prev = l;
}

static inline bool ad_list_empty(const struct ad_list *l)
{
    return l->next == l;
}

static inline void ad_list_insert_after(struct ad_list *at, struct ad_list *node)
{
    node->next = at->next;
    node->prev = at;
    at->next->prev = node;
    at->next = node;
}

static inline void ad_list_push_front(struct ad_list *head, struct ad_list *node)
{
    ad_list_insert_after(head, node);
}

static inline void ad_list_push_back(struct ad_list *head, struct ad_list *node)
{
    ad_list_insert_after(head->prev, node);
}

static inline void ad_list_remove(struct ad_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    ad_list_init(node);
}

/* First node, taken off; NULL if the list is empty. */
static inline struct ad_list *ad_list_pop_front(struct ad_list *head)
{
    struct ad_list *node = head->next;
    if (node == head) {
        return NULL;
    }
    ad_list_remove(node);
    return node;
}

/* Move all of @from to the end of @to. */
static inline void ad_list_splice_back(struct ad_list *to, struct ad_list *from)
{
    if (ad_list_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    ad_list_init(from);
}

#define AD_LIST_FOR_EACH(it, head)                                               \
    for (struct ad_list *it = (head)->next, *it##_next = it->next; it != (head); \
         it = it##_next, it##_next = it->next)

#endif
