// The C# client under test: TownsfolkClient, pumped by Update as a Unity game does it. Commands come in on stdin, events go
// out on stdout; docs/conformance.md has the protocol.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Townsfolk;

internal static class Program
{
    private const int FrameMilliseconds = 2;

    private static int Main()
    {
        UTF8Encoding utf8 = new UTF8Encoding(false);
        StreamReader input = new StreamReader(Console.OpenStandardInput(), utf8);
        StreamWriter output = new StreamWriter(Console.OpenStandardOutput(), utf8) { NewLine = "\n", AutoFlush = true };
        BlockingCollection<string> commands = new BlockingCollection<string>();
        Thread reader = new Thread(() => Read(input, commands)) { IsBackground = true };
        reader.Start();
        using (Runner runner = new Runner(output))
        {
            while (!commands.IsCompleted)
            {
                string line;
                while (commands.TryTake(out line, FrameMilliseconds))
                {
                    runner.Obey(Message.Parse(line));
                }
                runner.Frame();
            }
        }
        return 0;
    }

    private static void Read(TextReader input, BlockingCollection<string> commands)
    {
        string line;
        while ((line = input.ReadLine()) != null)
        {
            commands.Add(line);
        }
        commands.CompleteAdding();
    }
}

/// <summary>A line of the protocol: a name, then fields.</summary>
internal sealed class Message
{
    private readonly StringBuilder line;
    private readonly List<KeyValuePair<string, string>> fields = new List<KeyValuePair<string, string>>();

    public Message(string name)
    {
        Name = name;
        line = new StringBuilder(name);
    }

    public string Name { get; }

    public static Message Parse(string line)
    {
        string[] parts = line.Split('\t');
        Message message = new Message(parts[0]);
        foreach (string part in parts.Skip(1))
        {
            int equals = part.IndexOf('=');
            message.With(part.Substring(0, equals), Unescaped(part.Substring(equals + 1)));
        }
        return message;
    }

    public Message With(string key, string value)
    {
        fields.Add(new KeyValuePair<string, string>(key, value));
        line.Append('\t').Append(key).Append('=').Append(Escaped(value));
        return this;
    }

    public Message Last()
    {
        return With("last", "1");
    }

    /// <summary>A field, or null where there is none.</summary>
    public string Text(string key)
    {
        return All(key).FirstOrDefault();
    }

    public double Number(string key, double otherwise)
    {
        string text = Text(key);
        return text == null ? otherwise : double.Parse(text, CultureInfo.InvariantCulture);
    }

    public string[] All(string key)
    {
        return fields.Where(field => field.Key == key).Select(field => field.Value).ToArray();
    }

    public override string ToString()
    {
        return line.ToString();
    }

    private static string Escaped(string plain)
    {
        return plain.Replace("\\", "\\\\").Replace("\t", "\\t").Replace("\n", "\\n").Replace("\r", "\\r");
    }

    private static string Unescaped(string text)
    {
        StringBuilder plain = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\' || i + 1 == text.Length)
            {
                plain.Append(text[i]);
                continue;
            }
            char letter = text[++i];
            plain.Append(letter == 't' ? '\t' : letter == 'n' ? '\n' : letter == 'r' ? '\r' : letter);
        }
        return plain.ToString();
    }
}

/// <summary>A client and the names that the driver has given to its requests.</summary>
internal sealed class Runner : IDisposable
{
    private readonly TextWriter output;
    private readonly Dictionary<string, CancellationTokenSource> requests = new Dictionary<string, CancellationTokenSource>();
    private readonly Dictionary<string, Scene> scenes = new Dictionary<string, Scene>();
    private TownsfolkClient client;
    private bool paused;

    public Runner(TextWriter output)
    {
        this.output = output;
    }

    public void Dispose()
    {
        Close();
    }

    /// <summary>What a game does once a frame.</summary>
    public void Frame()
    {
        if (client != null && !paused)
        {
            client.Update();
        }
    }

    public void Obey(Message command)
    {
        switch (command.Name)
        {
            case "connect":
                Connect(command);
                break;
            case "close":
                paused = false;
                Frame();
                Close();
                Send(new Message("closed").With("of", command.Text("as")).Last());
                break;
            case "pause":
                paused = true;
                break;
            case "resume":
                paused = false;
                break;
            case "cancel":
                Cancel(command.Text("request"));
                break;
            case "scene_close":
                scenes[command.Text("scene")].CloseAsync();
                break;
            default:
                Ask(command);
                break;
        }
    }

    private void Connect(Message command)
    {
        client = TownsfolkClient.Connect(new ConnectOptions { Address = command.Text("address"), Token = command.Text("token") });
        client.ConnectionChanged += change =>
            Send(new Message("connection").With("state", Name(change.State)).With("text", change.Reason ?? ""));
        client.EventsLost += count => Send(new Message("error").With("dropped", Number(count)));
    }

    private void Close()
    {
        if (client != null)
        {
            TownsfolkClient closing = client;
            client = null; // what its tasks end with is no longer told
            closing.Dispose();
        }
        requests.Clear();
        scenes.Clear();
    }

    private void Cancel(string label)
    {
        Scene scene;
        if (scenes.TryGetValue(label, out scene))
        {
            scene.Cancel();
        }
        else
        {
            requests[label].Cancel();
        }
    }

    // Makes a request and tells of its end, however it ends.
    private async void Ask(Message command)
    {
        string label = command.Text("as");
        TownsfolkClient asked = client;
        CancellationTokenSource cancel = new CancellationTokenSource();
        requests[label] = cancel;
        Message end;
        try
        {
            end = await Request(command, label, cancel.Token);
        }
        catch (TownsfolkException error)
        {
            end = Failure(label, error).Last();
        }
        catch (OperationCanceledException)
        {
            end = Event("error", label).With("status", "CANCELLED").Last();
        }
        if (end != null && client == asked)
        {
            Send(end);
        }
    }

    // The last event of a request; null where a handler has told it.
    private async Task<Message> Request(Message command, string label, CancellationToken token)
    {
        switch (command.Name)
        {
            case "list_personas":
                Message list = Event("personas", label);
                foreach (Persona persona in await client.ListPersonasAsync(token))
                {
                    list.With("persona", persona.Id);
                }
                return list.Last();
            case "get_stats":
                return Event("stats", label).With("json", await client.GetStatsAsync(token)).Last();
            case "open_session":
                SessionRequest session = new SessionRequest
                {
                    SessionId = command.Text("session"),
                    PersonaIds = command.All("persona"),
                    PlayerName = command.Text("player")
                };
                return Opened(label, await client.OpenSessionAsync(session, token));
            case "close_session":
                await client.CloseSessionAsync(command.Text("session"), token);
                return Event("session_closed", label).Last();
            case "save_session":
                byte[] state = await client.SaveSessionAsync(command.Text("session"), token);
                return Event("session_saved", label).With("state", Hex(state)).Last();
            case "restore_session":
                byte[] saved = Bytes(command.Text("state"));
                RestoredSession restored = await client.RestoreSessionAsync(saved, command.Text("session"), token);
                return Opened(label, restored.SessionId, string.Join(",", restored.MissingPersonaIds));
            case "fork_session":
                return Opened(label, await client.ForkSessionAsync(command.Text("session"), command.Text("copy"), token));
            case "say":
                return await Spoken(lines => client.SayAsync(Line(command), lines, token), label);
            case "scene_open":
                Scene scene = client.OpenScene();
                scenes[label] = scene;
                await scene.Closed;
                return Event("scene_closed", label).Last();
            case "scene_say":
                Scene stage = scenes[command.Text("scene")];
                return await Spoken(lines => stage.SayAsync(Line(command), lines, token), label);
            case "heard":
                int characters = (int)command.Number("characters", 0);
                string kept = await client.HeardAsync(command.Text("turn"), characters, token);
                return Event("heard", label).With("text", kept).Last();
            case "compare":
                await client.CompareAsync(Comparison(command), CompareHandlers(label), token);
                return Event("compared", label).Last();
            case "compose":
                ComposedStory story = await client.ComposeAsync(Story(command), StoryHandlers(label), token);
                return Event("composed", label)
                    .With("text", story.Text)
                    .With("has_picture", story.Pictures.Count > 0 ? "1" : "0")
                    .Last();
            case "execute":
                await client.ExecuteAsync(
                    command.Text("line"),
                    piece => Send(Event("console_output", label).With("text", piece.Text).With("style", Name(piece.Style))),
                    command.Text("session"),
                    0,
                    token);
                return Event("console_finished", label).Last();
            case "complete":
                Completions completions = await client.CompleteAsync(
                    command.Text("line"), (int)command.Number("cursor", -1), command.Text("session"), token);
                Message ways = Event("completions", label);
                foreach (Completion completion in completions.Candidates)
                {
                    ways.With("completion", completion.Text);
                }
                return ways.With("start", Number(completions.ReplaceStart)).With("end", Number(completions.ReplaceEnd)).Last();
            default:
                throw new InvalidOperationException("unknown command " + command.Name);
        }
    }

    // A cancelled line has told its end already, and then its task is cancelled.
    private async Task<Message> Spoken(Func<LineHandler, Task<SpokenLine>> say, string label)
    {
        bool finished = false;
        LineHandler handler = new LineHandler
        {
            Started = started => Send(Started(label, started)),
            Speech = delta => Send(Speech(label, delta)),
            Emotion = name => Send(Event("emotion", label).With("text", name)),
            Action = action => Send(Action(label, action)),
            Finished = line =>
            {
                finished = true;
                Send(Finished(label, line).Last());
            }
        };
        try
        {
            await say(handler);
        }
        catch (OperationCanceledException)
        {
            if (!finished)
            {
                throw;
            }
        }
        return null;
    }

    private CompareHandler CompareHandlers(string label)
    {
        return new CompareHandler
        {
            Started = (variant, started) => Send(Started(label + "/" + variant, started)),
            Speech = (variant, delta) => Send(Speech(label + "/" + variant, delta)),
            Emotion = (variant, name) => Send(Event("emotion", label + "/" + variant).With("text", name)),
            Action = (variant, action) => Send(Action(label + "/" + variant, action)),
            Tokens = (variant, tokens) => Send(Tokens(label + "/" + variant, tokens)),
            Finished = (variant, line) => Send(Finished(label + "/" + variant, line).Last()),
            Failed = (variant, error) => Send(Failure(label + "/" + variant, error).Last())
        };
    }

    private ComposeHandler StoryHandlers(string label)
    {
        return new ComposeHandler
        {
            PartStarted = part => Send(Event("started", Part(label, part.Part, part.PictureIndex)).With("persona", part.PersonaId)),
            Text = delta => Send(Event("speech_delta", Part(label, delta.Part, delta.PictureIndex)).With("text", delta.Text)),
            PartFinished = part => Send(Event("finished", Part(label, part.Part, part.PictureIndex))
                .With("reason", Name(part.FinishReason))
                .With("text", part.Text)
                .With("title", part.Concept == null ? "" : part.Concept.Title)
                .Last()),
            Picture = picture => Send(Event("picture", Part(label, StoryPart.Picture, picture.PictureIndex))
                .With("media_type", picture.MediaType)
                .With("width", Number(picture.Width))
                .With("height", Number(picture.Height))
                .With("seed", picture.Seed.ToString(CultureInfo.InvariantCulture))
                .With("begins", Hex(picture.Bytes.Take(8).ToArray()))
                .With("ends", Hex(picture.Bytes.Skip(picture.Bytes.Length - 8).ToArray()))),
            PictureFailed = (index, error) => Send(Failure(Part(label, StoryPart.Picture, index), error).Last())
        };
    }

    private static string Part(string label, StoryPart part, int index)
    {
        return label + "/" + Name(part) + "/" + Number(index);
    }

    private static ComposeRequest Story(Message command)
    {
        PictureOptions pictures = new PictureOptions
        {
            Count = (int)command.Number("pictures", 0),
            Width = (int)command.Number("width", 0),
            Height = (int)command.Number("height", 0)
        };
        if (command.Text("picture_seed") != null)
        {
            pictures.Seed = (ulong)command.Number("picture_seed", 0);
        }
        return new ComposeRequest
        {
            Idea = command.Text("idea"),
            NarratorPersonaId = command.Text("narrator"),
            Pictures = pictures
        };
    }

    private static SayRequest Line(Message command)
    {
        return new SayRequest
        {
            SessionId = command.Text("session"),
            PersonaId = command.Text("persona"),
            Text = command.Text("text"),
            Situation = command.Text("situation"),
            TurnId = command.Text("turn"),
            Priority = Parsed<LinePriority>(command.Text("priority") ?? "default"),
            DeadlineSeconds = command.Number("deadline_s", 0),
            Sampling = SamplingOf(command)
        };
    }

    private static CompareRequest Comparison(Message command)
    {
        return new CompareRequest
        {
            Text = command.Text("text"),
            Situation = command.Text("situation"),
            SessionId = command.Text("session"),
            Variants = command.All("variant").Select(Variant).ToArray(),
            TopTokens = (int)command.Number("top_tokens", 0),
            Sampling = SamplingOf(command)
        };
    }

    // "persona kind [scale]", the persona "-" where there is none.
    private static CompareVariant Variant(string text)
    {
        string[] parts = text.Split(' ');
        return new CompareVariant
        {
            PersonaId = parts[0] == "-" ? null : parts[0],
            Kind = Parsed<VariantKind>(parts[1].Replace("_", "")),
            AdapterScale = parts.Length > 2 ? double.Parse(parts[2], CultureInfo.InvariantCulture) : (double?)null
        };
    }

    private static Sampling SamplingOf(Message command)
    {
        Sampling sampling = new Sampling();
        if (command.Text("seed") != null)
        {
            sampling.Seed = (ulong)command.Number("seed", 0);
        }
        if (command.Text("max_tokens") != null)
        {
            sampling.MaxTokens = (int)command.Number("max_tokens", 0);
        }
        return sampling;
    }

    private static Message Event(string kind, string label)
    {
        return new Message(kind).With("of", label);
    }

    private static Message Opened(string label, string session, string missing = "")
    {
        return Event("session_opened", label).With("session", session).With("text", missing).Last();
    }

    private static Message Started(string label, TurnStarted started)
    {
        return Event("started", label)
            .With("adapter_applied", started.AdapterApplied ? "1" : "0")
            .With("turn", started.TurnId);
    }

    private static Message Speech(string label, SpeechDelta delta)
    {
        string number = delta.Sequence.ToString(CultureInfo.InvariantCulture);
        return Event("speech_delta", label).With("text", delta.Text).With("sequence", number);
    }

    private static Message Action(string label, PersonaAction action)
    {
        return Event("action", label).With("text", action.Name).With("json", action.ArgumentsJson);
    }

    private static Message Tokens(string label, IEnumerable<TokenProbability> tokens)
    {
        Message message = Event("tokens", label);
        foreach (TokenProbability token in tokens)
        {
            message.With("token", Hex(token.Sampled.Bytes));
        }
        return message;
    }

    private static Message Finished(string label, SpokenLine line)
    {
        return Event("finished", label)
            .With("reason", Name(line.FinishReason))
            .With("text", line.Text)
            .With("fallback", line.FallbackReason)
            .With("turn", line.TurnId)
            .With("session", line.SessionId)
            .With("persona", line.PersonaId);
    }

    private static Message Failure(string label, TownsfolkException error)
    {
        return Event("error", label)
            .With("status", Name(error.Status).ToUpperInvariant())
            .With("text", error.Message)
            .With("field", error.Field);
    }

    private void Send(Message message)
    {
        output.WriteLine(message.ToString());
    }

    private static string Number(int number)
    {
        return number.ToString(CultureInfo.InvariantCulture);
    }

    // NotServing is not_serving.
    private static string Name(Enum value)
    {
        StringBuilder name = new StringBuilder();
        foreach (char letter in value.ToString())
        {
            if (char.IsUpper(letter) && name.Length > 0)
            {
                name.Append('_');
            }
            name.Append(char.ToLowerInvariant(letter));
        }
        return name.ToString();
    }

    private static T Parsed<T>(string name)
    {
        return (T)Enum.Parse(typeof(T), name, true);
    }

    private static string Hex(byte[] bytes)
    {
        return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
    }

    private static byte[] Bytes(string hex)
    {
        byte[] bytes = new byte[hex.Length / 2];
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = Convert.ToByte(hex.Substring(2 * i, 2), 16);
        }
        return bytes;
    }
}
