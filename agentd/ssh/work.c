/*
 * Threads for what blocks: a few, started when first needed, each taking jobs
 * from one queue; finished jobs come back to the loop through an eventfd.
 * The eventfd is watched only while jobs are out, so that an idle pool does
 * not keep event_base_dispatch() from returning.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "ssh/pool.h"

#define THREADS_MAX	4

struct work {
	pthread_mutex_t	 lock;
	pthread_cond_t	 wake;
	struct job	*todo, **todo_tail;
	struct job	*finished;
	unsigned	 idle;		/* threads waiting */
	bool		 stop;
	/* the loop's own: */
	pthread_t	 threads[THREADS_MAX];
	unsigned	 nthreads;
	unsigned	 out;		/* jobs submitted and not yet done() */
	int		 fd;
	struct event	*event;
};

static void *
work_thread(void *arg)
{
	struct work *w = arg;
	struct job *job;

	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		w->idle++;
		while (w->todo == NULL && !w->stop)
			(void)pthread_cond_wait(&w->wake, &w->lock);
		w->idle--;
		if (w->todo == NULL)
			break;
		job = w->todo;
		if ((w->todo = job->next) == NULL)
			w->todo_tail = &w->todo;
		(void)pthread_mutex_unlock(&w->lock);
		job->run(job);
		(void)pthread_mutex_lock(&w->lock);
		job->next = w->finished;
		w->finished = job;
		(void)eventfd_write(w->fd, 1);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void
work_finish(struct work *w)
{
	struct job *job, *next;

	(void)pthread_mutex_lock(&w->lock);
	job = w->finished;
	w->finished = NULL;
	(void)pthread_mutex_unlock(&w->lock);
	for (; job != NULL; job = next) {
		next = job->next;
		if (--w->out == 0)
			(void)event_del(w->event);
		job->done(job);
	}
}

static void
work_event(evutil_socket_t fd, short what, void *arg)
{
	eventfd_t count;

	(void)what;
	(void)eventfd_read(fd, &count);
	work_finish(arg);
}

struct work *
work_new(struct event_base *base, struct err *err)
{
	struct work *w = xcalloc(1, sizeof(*w));

	w->todo_tail = &w->todo;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->wake, NULL);
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->event = event_new(base, w->fd, EV_READ | EV_PERSIST, work_event, w);
	if (w->fd < 0 || w->event == NULL) {
		(void)err_errno(err, "cannot make an eventfd");
		work_free(w);
		return NULL;
	}
	return w;
}

void
work_submit(struct work *w, struct job *job)
{
	sigset_t all, old;

	job->next = NULL;
	if (w->out++ == 0)
		(void)event_add(w->event, NULL);
	(void)pthread_mutex_lock(&w->lock);
	*w->todo_tail = job;
	w->todo_tail = &job->next;
	if (w->idle == 0 && w->nthreads < THREADS_MAX) {
		/* Signals are the loop's. */
		(void)sigfillset(&all);
		(void)pthread_sigmask(SIG_SETMASK, &all, &old);
		if (pthread_create(&w->threads[w->nthreads], NULL, work_thread,
		    w) == 0)
			w->nthreads++;
		(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	(void)pthread_cond_signal(&w->wake);
	(void)pthread_mutex_unlock(&w->lock);
}

void
work_free(struct work *w)
{
	unsigned i;

	if (w == NULL)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	(void)pthread_cond_broadcast(&w->wake);
	(void)pthread_mutex_unlock(&w->lock);
	for (i = 0; i < w->nthreads; i++)
		(void)pthread_join(w->threads[i], NULL);
	work_finish(w);
	if (w->event != NULL)
		event_free(w->event);
	if (w->fd >= 0)
		(void)close(w->fd);
	(void)pthread_mutex_destroy(&w->lock);
	(void)pthread_cond_destroy(&w->wake);
	free(w);
}
