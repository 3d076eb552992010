/* Resolves a name as any program does, and prints its first address. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

int main(int count, char **arguments) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    char text[INET_ADDRSTRLEN];
    if (count != 2) return 2;
    int error = getaddrinfo(arguments[1], NULL, &hints, &found);
    if (error) {
        puts(gai_strerror(error));
        return 1;
    }
    struct in_addr *address = &((struct sockaddr_in *)found->ai_addr)->sin_addr;
    puts(inet_ntop(AF_INET, address, text, sizeof text));
    return 0;
}
