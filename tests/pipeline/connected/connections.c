/* Preloaded into every process of a test: notes connections and name look-ups that C code makes past Python.

   A line of CONNECTIONS_LOG is as in sitecustomize.py beside this file. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *call, const char *address)
{
    const char *path = getenv("CONNECTIONS_LOG");
    int before = errno, log, file;
    char line[4096];
    int length = snprintf(line, 1024, "%s\t%.512s\t", call, address);

    if (path == NULL || (log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0) {
        errno = before;
        return;
    }
    if ((file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC)) >= 0) {
        ssize_t got = read(file, line + length, sizeof line - length - 1);
        for (; got > 0; got--, length++)
            if (line[length] >= 0 && line[length] < ' ')
                line[length] = ' ';
        close(file);
    }
    line[length++] = '\n';
    if (write(log, line, length) < 0)
        perror(path);
    close(log);
    errno = before;
}

static void note_address(const char *call, const struct sockaddr *to)
{
    char host[INET6_ADDRSTRLEN] = "", shown[INET6_ADDRSTRLEN + 16] = "unix";

    if (to == NULL || to->sa_family == AF_UNSPEC || to->sa_family == AF_NETLINK)
        return; /* no address, an end of a connection, and the kernel */
    if (to->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)to;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(shown, sizeof shown, "%s:%d", host, ntohs(four->sin_port));
    } else if (to->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)to;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(shown, sizeof shown, "%s:%d", host, ntohs(six->sin6_port));
    } else if (to->sa_family != AF_UNIX) {
        snprintf(shown, sizeof shown, "family %d:", to->sa_family);
    }
    note(call, shown);
}

static void note_name(const char *call, const char *name)
{
    char shown[512];

    snprintf(shown, sizeof shown, "%.500s:", name == NULL ? "localhost" : name);
    note(call, shown);
}

int connect(int socket, const struct sockaddr *to, socklen_t length)
{
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    note_address("connect", to);
    return next(socket, to, length);
}

ssize_t sendto(int socket, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    note_address("sendto", to);
    return next(socket, data, size, flags, to, length);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags)
{
    ssize_t (*next)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
    note_address("sendmsg", message->msg_name);
    return next(socket, message, flags);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    note_name("getaddrinfo", name);
    return next(name, service, hints, found);
}

struct hostent *gethostbyname(const char *name)
{
    struct hostent *(*next)(const char *) = dlsym(RTLD_NEXT, "gethostbyname");
    note_name("gethostbyname", name);
    return next(name);
}
