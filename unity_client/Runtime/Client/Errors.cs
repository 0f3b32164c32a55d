using System;

namespace Townsfolk
{
    /// <summary>How a request ended: the gRPC status codes, with their numbers.</summary>
    public enum TownsfolkStatus
    {
        /// <summary>It went well.</summary>
        Ok = 0,
        /// <summary>It was cancelled.</summary>
        Cancelled = 1,
        /// <summary>It failed in a way that has no code of its own.</summary>
        Unknown = 2,
        /// <summary>An argument cannot be right; <see cref="TownsfolkException.Field"/> names it.</summary>
        InvalidArgument = 3,
        /// <summary>It did not end in time.</summary>
        DeadlineExceeded = 4,
        /// <summary>There is no such persona, session or turn.</summary>
        NotFound = 5,
        /// <summary>The id is in use.</summary>
        AlreadyExists = 6,
        /// <summary>It is not allowed.</summary>
        PermissionDenied = 7,
        /// <summary>Too much at once; <see cref="TownsfolkException.RetryAfter"/> says when to try again.</summary>
        ResourceExhausted = 8,
        /// <summary>Something has to be different before this can work.</summary>
        FailedPrecondition = 9,
        /// <summary>It lost a race against something else.</summary>
        Aborted = 10,
        /// <summary>A number is outside of what there is.</summary>
        OutOfRange = 11,
        /// <summary>This daemon does not have this.</summary>
        Unimplemented = 12,
        /// <summary>A fault in the daemon.</summary>
        Internal = 13,
        /// <summary>The daemon cannot be reached, or its engine is not ready.</summary>
        Unavailable = 14,
        /// <summary>Something was lost for good.</summary>
        DataLoss = 15,
        /// <summary>The token is missing or wrong.</summary>
        Unauthenticated = 16
    }

    /// <summary>A request failed. Its message is one sentence for a developer to read.</summary>
    public class TownsfolkException : Exception
    {
        /// <summary>An error with its status. Default field: "" (none); default retry time: none.</summary>
        public TownsfolkException(
            TownsfolkStatus status, string message, string field = "", TimeSpan? retryAfter = null, Exception cause = null)
            : base(message, cause)
        {
            Status = status;
            Field = field;
            RetryAfter = retryAfter;
        }

        /// <summary>What kind of failure it was. No default.</summary>
        public TownsfolkStatus Status { get; }

        /// <summary>Path of the request's field at fault, such as "sampling.top_p". Default: "" where no field is.</summary>
        public string Field { get; }

        /// <summary>How long to wait before trying again. Default: null where trying again will not help.</summary>
        public TimeSpan? RetryAfter { get; }
    }

    /// <summary>The native library is missing or does not fit this package. The message says what to do.</summary>
    public sealed class TownsfolkLibraryException : TownsfolkException
    {
        internal TownsfolkLibraryException(string message, Exception cause)
            : base(TownsfolkStatus.FailedPrecondition, message, "", null, cause)
        {
        }
    }
}
