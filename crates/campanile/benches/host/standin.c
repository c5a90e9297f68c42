/* Stands in for the Python interpreter of an agent, so that a benchmark measures the HostManager and not the start of
 * Python: it notes when it began, then waits for a signal.
 *
 *   standin -m ocs.agent_cli --instance-id ID ...   appends "NANOSECONDS PID ID" to the file $BENCH_STARTS and waits
 *   standin -c PROGRAM                              the only program anyone asks for lists the agent classes
 *   standin --cpu-of PID                            prints the CPU time of a process, all its threads, in nanoseconds
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long ns(struct timespec t) { return t.tv_sec * 1000000000LL + t.tv_nsec; }

int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc == 3 && strcmp(argv[1], "--cpu-of") == 0) {
        clockid_t clock;
        if (clock_getcpuclockid(atoi(argv[2]), &clock) != 0 || clock_gettime(clock, &now) != 0) return 1;
        printf("%lld\n", ns(now));
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "-c") == 0) {
        puts("[\"FakeDataAgent\"]");
        return 0;
    }
    const char *file = getenv("BENCH_STARTS"), *id = "?";
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--instance-id") == 0) id = argv[i + 1];
    char line[256];
    int length = snprintf(line, sizeof line, "%lld %d %s\n", ns(now), (int)getpid(), id);
    int fd = file ? open(file, O_WRONLY | O_APPEND | O_CREAT, 0644) : -1;
    if (fd < 0 || length >= (int)sizeof line || write(fd, line, length) != length) return 1;
    close(fd);
    for (;;) pause();
}
