/* Stands in for the Python interpreter of an agent, so that a benchmark measures the HostManager and not the start of
 * Python: it notes when it began, then waits for a signal.
 *
 *   standin -m ocs.agent_cli --instance-id ID ...   appends "NANOSECONDS PID ID" to the file $BENCH_STARTS and waits
 *   standin -c PROGRAM                              the only program anyone asks for lists the agent classes
 *   standin --cpu-of PID                            prints the CPU time of a process, all its threads, in nanoseconds
 *   standin --beat SECONDS PAGES                    does the least that a heartbeat needs, once a second: waits for a timer
 *                                                   and sends a message to another process over TCP; reads a byte of each
 *                                                   of so many pages, too; prints the CPU time that all of them took, in
 *                                                   nanoseconds
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* As long as a heartbeat of the HostManager on the wire. */
#define MESSAGE 268

static long long ns(struct timespec t) { return t.tv_sec * 1000000000LL + t.tv_nsec; }

static int beat(int seconds, int pages) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *any = (struct sockaddr *)&address;
    socklen_t length = sizeof address;
    int door = socket(AF_INET, SOCK_STREAM, 0), at = socket(AF_INET, SOCK_STREAM, 0), at_once = 1;
    if (bind(door, any, length) || listen(door, 1) || getsockname(door, any, &length) || connect(at, any, length)) return 1;
    int from = accept(door, NULL, NULL);
    setsockopt(at, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    char message[MESSAGE] = {0};
    long page = sysconf(_SC_PAGESIZE);
    volatile char *memory = mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    for (int at = 0; at < pages; at++) memory[at * page] = 1;
    pid_t reader = fork();
    if (reader == 0) {
        close(at);
        while (read(from, message, sizeof message) > 0) {}
        _exit(0);
    }
    close(from);
    struct itimerspec every = {{1, 0}, {1, 0}};
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (reader < 0 || timerfd_settime(timer, 0, &every, NULL)) return 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event)) return 1;
    struct timespec begin, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (int beats = 0; beats < seconds;) {
        unsigned long long due;
        if (epoll_wait(epoll, &event, 1, -1) != 1 || read(timer, &due, sizeof due) != sizeof due) continue;
        for (int at = 0; at < pages; at++) message[0] += memory[at * page];
        if (send(at, message, sizeof message, MSG_NOSIGNAL) != sizeof message) return 1;
        beats++;
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    close(at);
    waitpid(reader, NULL, 0);
    printf("%lld\n", ns(end) - ns(begin));
    return 0;
}

int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc == 3 && strcmp(argv[1], "--cpu-of") == 0) {
        clockid_t clock;
        if (clock_getcpuclockid(atoi(argv[2]), &clock) != 0 || clock_gettime(clock, &now) != 0) return 1;
        printf("%lld\n", ns(now));
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "--beat") == 0) return beat(atoi(argv[2]), atoi(argv[3]));
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
