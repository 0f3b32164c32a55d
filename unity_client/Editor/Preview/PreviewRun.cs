using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Townsfolk.EditorTools
{
    // One comparison: base model, prompt only, prompt and adapter, side by side.
    internal sealed class PreviewRun
    {
        private readonly PreviewColumn[] columns =
        {
            new PreviewColumn("Base model"),
            new PreviewColumn("Prompt only"),
            new PreviewColumn("Prompt and adapter")
        };

        private readonly CancellationTokenSource cancellation = new CancellationTokenSource();

        public IReadOnlyList<PreviewColumn> Columns
        {
            get { return columns; }
        }

        public bool IsRunning { get; private set; }

        // Why the whole comparison failed; null if it did not.
        public string Error { get; private set; }

        // Runs to the end; what goes wrong is told by Error and by the columns.
        public async Task RunAsync(TownsfolkClient client, PreviewInput input)
        {
            CompareHandler handler = new CompareHandler
            {
                Started = (column, started) => columns[column].Start(started),
                Speech = (column, delta) => columns[column].Append(delta),
                Tokens = (column, tokens) => columns[column].Append(tokens),
                Finished = (column, line) => columns[column].Finish(line),
                Failed = (column, error) => columns[column].Fail(error.Message)
            };
            IsRunning = true;
            try
            {
                await client.CompareAsync(input.ToRequest(), handler, cancellation.Token);
            }
            catch (TownsfolkException error)
            {
                Error = error.Message;
            }
            catch (OperationCanceledException)
            {
                Error = "stopped";
            }
            finally
            {
                IsRunning = false;
            }
        }

        public void Cancel()
        {
            cancellation.Cancel();
        }
    }
}
