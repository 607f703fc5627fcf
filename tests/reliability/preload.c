/*
 * Changes what the C library tells the controller, which is started with LD_PRELOAD:
 *
 * TEST_CLOCK_OFFSET: by how many seconds the node's clock is ahead.
 * TEST_NAMES: a file. Hosts below "names.test" have the address 127.0.0.1 while it is empty. Else it has the error of
 * getaddrinfo, such as -2 (EAI_NONAME), for them, and each such look-up leaves a file whose name ends with ".asked".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    const char *offset = getenv("TEST_CLOCK_OFFSET");
    if (!failed && clock == CLOCK_REALTIME && offset)
        now->tv_sec += atoll(offset);
    return failed;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("TEST_NAMES");
    if (path && host && strstr(host, "names.test")) {
        int error = 0;
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%d", &error) != 1)
                error = 0;
            fclose(file);
        }
        if (error) {
            char asked[4096];
            snprintf(asked, sizeof asked, "%s.asked", path);
            file = fopen(asked, "w");
            if (file)
                fclose(file);
            return error;
        }
        host = "127.0.0.1";
    }
    return real(host, service, hints, found);
}
