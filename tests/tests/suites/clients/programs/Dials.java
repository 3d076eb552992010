// Dials once for each line that it reads, and prints what came back.

import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;

public class Dials {
    // Some of them on each replica.
    static DatagramSocket[] kept = new DatagramSocket[6];
    static int turn;

    public static void main(String[] arguments) throws IOException {
        InetSocketAddress address =
            new InetSocketAddress(arguments[1], Integer.parseInt(arguments[2]));
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        while (orders.readLine() != null) {
            String answer;
            try {
                answer = switch (arguments[0]) {
                    case "socket" -> socket(address);
                    case "url" -> url(address);
                    default -> datagram(address);
                };
            } catch (IOException error) {
                answer = error.toString();
            }
            System.out.println(answer.strip().replace('\n', ' '));
        }
    }

    static String socket(InetSocketAddress address) throws IOException {
        try (Socket socket = new Socket(address.getAddress(), address.getPort())) {
            socket.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes());
            return new String(socket.getInputStream().readAllBytes());
        }
    }

    // Keeps its connection alive, as by default; without a limit it would wait for ever.
    static String url(InetSocketAddress address) throws IOException {
        String ip = address.getAddress().getHostAddress();
        String host = ip.contains(":") ? "[" + ip + "]" : ip;
        URLConnection connection = new URL("http://" + host + ":" + address.getPort()).openConnection();
        connection.setReadTimeout(2000);
        try (InputStream body = connection.getInputStream()) {
            return new String(body.readAllBytes());
        }
    }

    // By the next of several connected sockets, which names its destination all the same, and is kept
    // until it fails.
    static String datagram(InetSocketAddress address) throws IOException {
        turn = (turn + 1) % kept.length;
        try {
            if (kept[turn] == null) {
                kept[turn] = new DatagramSocket();
                kept[turn].setSoTimeout(2000);
                kept[turn].connect(address);
            }
            byte[] question = question();
            kept[turn].send(new DatagramPacket(question, question.length, address));
            DatagramPacket answer = new DatagramPacket(new byte[512], 512);
            kept[turn].receive(answer);
            return "192.0.2." + (answer.getData()[answer.getLength() - 1] & 255);
        } catch (IOException error) {
            if (kept[turn] != null) kept[turn].close();
            kept[turn] = null;
            throw error;
        }
    }

    // Which address has who.lab?
    static byte[] question() {
        byte[] name = "\3who\3lab\0".getBytes(StandardCharsets.ISO_8859_1);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(new byte[] {1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0});
        out.writeBytes(name);
        out.writeBytes(new byte[] {0, 1, 0, 1});
        return out.toByteArray();
    }
}
