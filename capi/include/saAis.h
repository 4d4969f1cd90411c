/*
 * saAis.h - what the interfaces of the Application Interface Specification share:
 * types, times, errors and flags of its B series. See saAis(7).
 */
#ifndef _SA_AIS_H
#define _SA_AIS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef signed char SaInt8T;
typedef short SaInt16T;
typedef int SaInt32T;
typedef unsigned char SaUint8T;
typedef unsigned short SaUint16T;
typedef unsigned int SaUint32T;
#ifdef __GNUC__
__extension__ typedef long long SaInt64T;
__extension__ typedef unsigned long long SaUint64T;
#else
typedef long long SaInt64T;
typedef unsigned long long SaUint64T;
#endif

typedef float SaFloatT;
typedef double SaDoubleT;
typedef char *SaStringT;

typedef enum {
    SA_FALSE = 0,
    SA_TRUE = 1
} SaBoolT;

/* Nanoseconds: a duration, or since 1970. */
typedef SaInt64T SaTimeT;

#define SA_TIME_END ((SaTimeT)(~(SaUint64T)0 >> 1))
#define SA_TIME_BEGIN ((SaTimeT)0)
#define SA_TIME_UNKNOWN ((SaTimeT)~(~(SaUint64T)0 >> 1))
#define SA_TIME_MAX SA_TIME_END

#define SA_TIME_ONE_MICROSECOND ((SaTimeT)1000)
#define SA_TIME_ONE_MILLISECOND (1000 * SA_TIME_ONE_MICROSECOND)
#define SA_TIME_ONE_SECOND (1000 * SA_TIME_ONE_MILLISECOND)
#define SA_TIME_ONE_MINUTE (60 * SA_TIME_ONE_SECOND)
#define SA_TIME_ONE_HOUR (60 * SA_TIME_ONE_MINUTE)
#define SA_TIME_ONE_DAY (24 * SA_TIME_ONE_HOUR)

#define SA_MAX_NAME_LENGTH 256

/* Bytes, not a string: value ends where length says. */
typedef struct {
    SaUint16T length;
    SaUint8T value[SA_MAX_NAME_LENGTH];
} SaNameT;

/* B.02.01, for example: { 'B', 2, 1 }. */
typedef struct {
    SaUint8T releaseCode;
    SaUint8T majorVersion;
    SaUint8T minorVersion;
} SaVersionT;

typedef SaUint64T SaSizeT;
typedef SaUint64T SaOffsetT;
typedef SaUint64T SaInvocationT;
typedef SaUint64T SaSelectionObjectT;

typedef struct {
    SaSizeT bufferSize;
    SaUint8T *bufferAddr;
} SaAnyT;

#define SA_TRACK_CURRENT 0x01
#define SA_TRACK_CHANGES 0x02
#define SA_TRACK_CHANGES_ONLY 0x04

typedef enum {
    SA_DISPATCH_ONE = 1,
    SA_DISPATCH_ALL = 2,
    SA_DISPATCH_BLOCKING = 3
} SaDispatchFlagsT;

typedef union {
    SaInt64T int64Value;
    SaUint64T uint64Value;
    SaTimeT timeValue;
    SaFloatT floatValue;
    SaDoubleT doubleValue;
} SaLimitValueT;

typedef enum {
    SA_AIS_OK = 1,
    SA_AIS_ERR_LIBRARY = 2,
    SA_AIS_ERR_VERSION = 3,
    SA_AIS_ERR_INIT = 4,
    SA_AIS_ERR_TIMEOUT = 5,
    SA_AIS_ERR_TRY_AGAIN = 6,
    SA_AIS_ERR_INVALID_PARAM = 7,
    SA_AIS_ERR_NO_MEMORY = 8,
    SA_AIS_ERR_BAD_HANDLE = 9,
    SA_AIS_ERR_BUSY = 10,
    SA_AIS_ERR_ACCESS = 11,
    SA_AIS_ERR_NOT_EXIST = 12,
    SA_AIS_ERR_NAME_TOO_LONG = 13,
    SA_AIS_ERR_EXIST = 14,
    SA_AIS_ERR_NO_SPACE = 15,
    SA_AIS_ERR_INTERRUPT = 16,
    SA_AIS_ERR_NAME_NOT_FOUND = 17,
    SA_AIS_ERR_NO_RESOURCES = 18,
    SA_AIS_ERR_NOT_SUPPORTED = 19,
    SA_AIS_ERR_BAD_OPERATION = 20,
    SA_AIS_ERR_FAILED_OPERATION = 21,
    SA_AIS_ERR_MESSAGE_ERROR = 22,
    SA_AIS_ERR_QUEUE_FULL = 23,
    SA_AIS_ERR_QUEUE_NOT_AVAILABLE = 24,
    SA_AIS_ERR_BAD_FLAGS = 25,
    SA_AIS_ERR_TOO_BIG = 26,
    SA_AIS_ERR_NO_SECTIONS = 27,
    SA_AIS_ERR_NO_OP = 28,
    SA_AIS_ERR_REPAIR_PENDING = 29,
    SA_AIS_ERR_NO_BINDINGS = 30,
    SA_AIS_ERR_UNAVAILABLE = 31,
    SA_AIS_ERR_SECURITY = 100 /* as openais has it */
} SaAisErrorT;

#ifdef __cplusplus
}
#endif

#endif
