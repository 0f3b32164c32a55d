using System;
using System.Threading;
using System.Threading.Tasks;

namespace Townsfolk
{
    // A request that runs: gets its events one by one and ends its task with the last.
    internal abstract class PendingRequest
    {
        private TownsfolkClient client;
        private CancellationTokenRegistration registration;
        private Exception handlerError;

        public ulong Number { get; private set; }

        protected CancellationToken Token { get; private set; }

        public void Begin(TownsfolkClient owner, ulong number)
        {
            client = owner;
            Number = number;
        }

        // Not under the client's lock: a token that is cancelled meanwhile calls back at once.
        public void CancelWith(CancellationToken token)
        {
            Token = token;
            if (token.CanBeCanceled)
            {
                registration = token.Register(Cancel, this, false);
            }
        }

        public void Deliver(ref ClientEvent e)
        {
            try
            {
                if (handlerError == null)
                {
                    Tell(ref e);
                }
            }
            catch (Exception error)
            {
                handlerError = error;
                client.Cancel(Number);
            }
            if (e.Last)
            {
                registration.Dispose();
                if (handlerError != null)
                {
                    Fail(handlerError);
                }
                else
                {
                    End(ref e);
                }
            }
        }

        // The client was closed.
        public void Abandon()
        {
            registration.Dispose();
            SetCanceled();
        }

        // Calls the handlers of an event. What they throw ends the request.
        protected virtual void Tell(ref ClientEvent e)
        {
        }

        // Ends the task with the last event.
        protected abstract void End(ref ClientEvent e);

        protected abstract void Fail(Exception error);

        protected abstract void SetCanceled();

        private static void Cancel(object request)
        {
            PendingRequest pending = (PendingRequest)request;
            pending.client.Cancel(pending.Number);
        }
    }

    internal abstract class PendingRequest<T> : PendingRequest
    {
        // Continuations run where the task is completed: on the thread that pumps.
        private readonly TaskCompletionSource<T> completion = new TaskCompletionSource<T>();

        public Task<T> Task
        {
            get { return completion.Task; }
        }

        protected override void End(ref ClientEvent e)
        {
            bool cancelled = Token.IsCancellationRequested && WasCancelled(ref e);
            if (cancelled)
            {
                completion.TrySetCanceled(Token);
            }
            else if (e.Kind == EventKind.Error)
            {
                completion.TrySetException(e.Error);
            }
            else
            {
                T result;
                try
                {
                    result = Result(ref e);
                }
                catch (Exception error)
                {
                    completion.TrySetException(error);
                    return;
                }
                completion.TrySetResult(result);
            }
        }

        protected override void Fail(Exception error)
        {
            completion.TrySetException(error);
        }

        protected override void SetCanceled()
        {
            completion.TrySetCanceled();
        }

        // What the last event, which is no error, means.
        protected abstract T Result(ref ClientEvent e);

        private static bool WasCancelled(ref ClientEvent e)
        {
            return e.Kind == EventKind.Error
                ? e.Error.Status == TownsfolkStatus.Cancelled
                : e.Kind == EventKind.Finished && e.FinishReason == FinishReason.Cancelled;
        }
    }
}
