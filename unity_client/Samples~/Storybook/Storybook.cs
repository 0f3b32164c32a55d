using System;
using System.Threading;
using Townsfolk;
using UnityEngine;
using UnityEngine.UI;

// A book that writes and illustrates itself. Give it texts and a raw image, then call Write from a button or an input
// field. For TextMeshPro, make the texts TMP_Text and refer to Unity.TextMeshPro in the assembly definition.
public class Storybook : MonoBehaviour
{
    public Text title;
    public Text page;
    public Text status;
    public RawImage illustration;
    public string style = "ink and watercolour";
    public int pictureSize = 512;

    private CancellationTokenSource writing;
    private Texture2D picture;

    public async void Write(string idea)
    {
        Cancel();
        TownsfolkDaemon daemon = TownsfolkDaemon.Instance;
        if (daemon == null || daemon.Client == null)
        {
            return; // the library is missing, which was logged, or the game quits
        }
        CancellationTokenSource mine = writing = new CancellationTokenSource();
        title.text = page.text = "";
        status.text = "…";
        try
        {
            ComposedStory story = await daemon.Client.ComposeAsync(RequestFor(idea), Handler(), mine.Token);
            status.text = story.PictureErrors.Count > 0 ? story.PictureErrors[0].Message : "";
        }
        catch (OperationCanceledException)
        {
            // another story was asked for, or the book is gone
        }
        catch (TownsfolkException error)
        {
            status.text = error.Message;
        }
    }

    public void Cancel()
    {
        writing?.Cancel();
        writing = null;
    }

    private ComposeRequest RequestFor(string idea)
    {
        return new ComposeRequest
        {
            Idea = idea,
            Pictures = new PictureOptions { Width = pictureSize, Height = pictureSize, Style = style }
        };
    }

    private ComposeHandler Handler()
    {
        return new ComposeHandler
        {
            Text = delta => page.text += delta.Part == StoryPart.Story ? delta.Text : "",
            PartFinished = part => title.text = part.Concept != null ? part.Concept.Title : title.text,
            Progress = progress => status.text = "Drawing " + progress.Step + " of " + progress.TotalSteps,
            Picture = Show
        };
    }

    private void Show(StoryPicture drawn)
    {
        Texture2D loaded = new Texture2D(2, 2); // LoadImage gives it its size
        if (!loaded.LoadImage(drawn.Bytes, true))
        {
            Destroy(loaded);
            status.text = "Unity cannot show " + drawn.MediaType;
            return;
        }
        Destroy(picture);
        picture = loaded;
        illustration.texture = picture;
    }

    private void OnDestroy()
    {
        Cancel();
        Destroy(picture);
    }
}
