import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's tools one after the other. A line of standard input has a tool's class and its arguments, with
 * tabs between; the answer is a line with its exit code and how many bytes it printed on standard output and on
 * standard error, and these bytes. It ends with its input.
 */
public class ToolServer {
    private static class Ended extends RuntimeException {}

    private static Integer code;

    public static void main(String[] none) throws Exception {
        PrintStream answers = System.out;
        Exit.setExitProcedure((status, message) -> {
            code = code == null ? status : code;
            throw new Ended();
        });
        InputStreamReader input = new InputStreamReader(System.in, StandardCharsets.UTF_8);
        BufferedReader lines = new BufferedReader(input);
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
            code = null;
            run(line.split("\t", -1));
            answers.println((code == null ? 0 : code) + " " + out.size() + " " + err.size());
            out.writeTo(answers);
            err.writeTo(answers);
            answers.flush();
        }
    }

    private static void run(String[] words) throws ReflectiveOperationException {
        Object arguments = Arrays.copyOfRange(words, 1, words.length);
        try {
            Class.forName(words[0]).getMethod("main", String[].class).invoke(null, arguments);
        } catch (InvocationTargetException failed) {
            if (code == null) {
                code = 1;
                failed.getCause().printStackTrace();
            }
        }
    }
}
