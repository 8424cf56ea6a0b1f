/* SPDX-License-Identifier: Apache-2.0 */
/* Programs at the ends of connections; see sim_app.h. */
#include "sim_app.h"

static void on_timer(void *arg)
{
	sim_app_on_ready(arg);
}

static void close_now(struct sim_app *a)
{
	if (a->is_shut || a->has_reset || a->did_reset)
		return;
	if (a->plan.close == SIM_RESET_SENT || a->plan.close == SIM_RESET_RECEIVED) {
		a->did_reset = true;
		a->end_ns = a->sim->now_ns;
		a->ops->reset(a->stream);
		return;
	}
	a->is_shut = true;
	a->ops->shutdown(a->stream);
}

static void on_close_timer(void *arg)
{
	close_now(arg);
}

void sim_app_init(struct sim_app *a, struct sim *sim, const struct sim_app_plan *plan,
    const struct sim_stream_ops *ops, void *stream)
{
	*a = (struct sim_app){.sim = sim, .plan = *plan, .ops = ops, .stream = stream};
	sim_timer_init(&a->read_timer, on_timer, a);
	sim_timer_init(&a->write_timer, on_timer, a);
	sim_timer_init(&a->close_timer, on_close_timer, a);
}

void sim_app_fini(struct sim_app *a)
{
	if (!a->sim)
		return;
	sim_timer_cancel(a->sim, &a->read_timer);
	sim_timer_cancel(a->sim, &a->write_timer);
	sim_timer_cancel(a->sim, &a->close_timer);
}

static bool is_over(const struct sim_app *a)
{
	return !a->is_open || a->has_reset || a->did_reset;
}

/* True if it may read now; else a timer is set where time will change that. */
static bool may_read(struct sim_app *a)
{
	const struct sim_app_plan *p = &a->plan;

	if (p->stall_ns > 0 && !a->has_stalled && a->received >= p->stall_at) {
		a->has_stalled = true;
		a->read_after_ns =
		    p->stall_ns == SIM_NEVER ? SIM_NEVER : a->sim->now_ns + p->stall_ns;
	}
	if (a->sim->now_ns >= a->read_after_ns)
		return true;
	if (a->read_after_ns != SIM_NEVER)
		sim_timer_set(a->sim, &a->read_timer, a->read_after_ns);
	return false;
}

static void read_some(struct sim_app *a)
{
	const struct sim_app_plan *p = &a->plan;

	while (!is_over(a)) {
		size_t n = a->ops->readable(a->stream);

		if (n == 0 || !may_read(a))
			break;
		if (p->read_chunk > 0 && n > p->read_chunk)
			n = p->read_chunk;
		if (p->stall_ns > 0 && !a->has_stalled && n > p->stall_at - a->received)
			n = (size_t)(p->stall_at - a->received);
		a->received += n;
		if (p->read_gap_ns > 0)
			a->read_after_ns = a->sim->now_ns + p->read_gap_ns;
		if (a->on_read)
			a->on_read(a, n);
		a->ops->read(a->stream, n);
	}
	if (!a->has_eof && !is_over(a) && a->ops->is_at_eof(a->stream)) {
		a->has_eof = true;
		a->end_ns = a->sim->now_ns;
	}
}

static bool may_write(const struct sim_app *a)
{
	switch (a->plan.start) {
	case SIM_START_OPEN:
		return true;
	case SIM_START_RECEIVED:
		return a->received >= a->plan.start_at;
	case SIM_START_EOF:
		return a->has_eof;
	}
	return false;
}

static void write_some(struct sim_app *a)
{
	const struct sim_app_plan *p = &a->plan;

	while (!is_over(a) && !a->is_shut && a->sent < p->send_len && may_write(a)) {
		uint64_t left = p->send_len - a->sent;
		size_t want = p->send_chunk > 0 && left > p->send_chunk ? p->send_chunk : left;
		size_t n;

		if (a->sim->now_ns < a->write_after_ns) {
			sim_timer_set(a->sim, &a->write_timer, a->write_after_ns);
			return;
		}
		n = a->ops->write(a->stream, want);
		if (n == 0)
			return;
		if (a->sent == 0)
			a->first_write_ns = a->sim->now_ns;
		a->sent += n;
		if (p->send_gap_ns > 0)
			a->write_after_ns = a->sim->now_ns + p->send_gap_ns;
	}
}

static bool wants_to_close(const struct sim_app *a)
{
	switch (a->plan.close) {
	case SIM_CLOSE_SENT:
	case SIM_RESET_SENT:
		return a->sent == a->plan.send_len && may_write(a);
	case SIM_CLOSE_EOF:
		return a->sent == a->plan.send_len && a->has_eof;
	case SIM_RESET_RECEIVED:
		return a->received >= a->plan.close_at;
	case SIM_CLOSE_NEVER:
		break;
	}
	return false;
}

void sim_app_on_ready(struct sim_app *a)
{
	if (is_over(a))
		return;
	read_some(a);
	write_some(a);
	if (is_over(a) || a->is_shut || !wants_to_close(a) || sim_timer_is_set(&a->close_timer))
		return;
	if (a->plan.close_delay_ns > 0)
		sim_timer_set(a->sim, &a->close_timer, a->sim->now_ns + a->plan.close_delay_ns);
	else
		close_now(a);
}

void sim_app_on_open(struct sim_app *a)
{
	a->is_open = true;
	a->open_ns = a->sim->now_ns;
	sim_app_on_ready(a);
}

void sim_app_on_reset(struct sim_app *a, int error)
{
	if (a->has_reset || a->did_reset)
		return;
	/* A program reads what is there before it is told of the reset. */
	a->plan.read_chunk = 0;
	a->plan.stall_ns = 0;
	a->read_after_ns = 0;
	if (a->is_open)
		read_some(a);
	a->has_reset = true;
	a->error = error;
	a->end_ns = a->sim->now_ns;
}

bool sim_app_is_done(const struct sim_app *a)
{
	if (a->has_reset || a->did_reset)
		return true;
	return a->is_open && a->is_shut && a->has_eof;
}
